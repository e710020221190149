// The rules of the house that a compiler does not know: who may import whom, what the domain must not touch, no dead code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const DOMAIN = ['protocol', 'accounts', 'tokens', 'policies', 'access', 'audit', 'notices']

/** The import table: the rooms that each room may import. Files of the ground floor may be imported by all. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  accounts: [],
  audit: [],
  tokens: ['protocol', 'accounts'],
  notices: ['tokens', 'accounts'],
  policies: ['tokens', 'accounts'],
  access: ['protocol', 'policies', 'tokens', 'accounts', 'audit'],
  store: DOMAIN,
  'audit-log': ['audit'],
  upstream: ['protocol'],
  'embedded-git': ['protocol'],
  shield: ['protocol'],
  workers: ['protocol', 'shield'],
  'smart-http': ['protocol', 'access', 'audit'],
  api: ['protocol', 'access', 'policies', 'tokens', 'accounts', 'audit'],
  web: ['protocol', 'access', 'policies', 'tokens', 'accounts', 'audit'],
  cli: ['protocol', 'access', 'policies', 'tokens', 'accounts', 'audit', 'notices'],
  jobs: DOMAIN,
}
/** Rooms that know the others by their types alone; but the trail's rows are chained where they are written. */
const TYPES_ONLY = ['store']
const VALUES_FOR_ALL = ['src/audit/chain.ts', 'src/audit/event.ts']
/** Files that put the rooms together. Nothing but `bin` imports them. */
const COMPOSITION = [
  'gitgate',
  'duties',
  'crew-gate',
  'backends',
  'cli-rooms',
  'gate-dependencies',
  'server',
  'audit-thread',
  'audit-thread-run',
].map((name) => `src/${name}.ts`)
/** What would tie a decision to a transport, a driver or the log. */
const OUTSIDE_DOMAIN = ['node:http', 'node:https', 'node:http2', 'better-sqlite3', 'kysely', 'pino']

type Import = { readonly specifier: string; readonly names: readonly string[] | 'all'; readonly typesOnly: boolean }
type Source = { readonly file: string; readonly tree: ts.SourceFile; readonly imports: readonly Import[] }

const root = findRoot(import.meta.dirname)
const sources = ['src', 'test', 'bench', 'bin'].flatMap(listFiles).map(readSource)
const ours = sources.filter(({ file }) => file.startsWith('src/'))
const shipped = sources.filter(({ file }) => !/^(test|bench)\//.test(file))

t.test('a room imports only the rooms that the table lets it', async (t) => {
  const wrong: string[] = []
  for (const source of ours) {
    if (COMPOSITION.includes(source.file)) continue
    const room = roomOf(source.file)
    const allowed = room === undefined ? [] : MAY_IMPORT[room]
    if (allowed === undefined) wrong.push(`${source.file}: the room ${room ?? ''} is not in the table`)
    for (const { target, typesOnly } of localImports(source)) {
      const other = roomOf(target)
      const from = room ?? 'the ground floor'
      if (COMPOSITION.includes(target)) wrong.push(`${source.file}: ${from} must not import ${target}`)
      if (other === undefined || other === room) continue
      if (allowed?.includes(other) === false) wrong.push(`${source.file}: ${from} must not import ${target}`)
      else if (TYPES_ONLY.includes(from) && !typesOnly && !VALUES_FOR_ALL.includes(target))
        wrong.push(`${source.file}: ${from} may import only types, not the values of ${target}`)
    }
  }
  t.strictSame(wrong, [])
})

t.test('the rooms import each other in one direction', async (t) => {
  const edges = new Map<string, Set<string>>()
  for (const source of ours) {
    const room = roomOf(source.file)
    for (const { target } of room === undefined ? [] : localImports(source)) {
      const other = roomOf(target)
      if (room !== undefined && other !== undefined && other !== room)
        edges.set(room, (edges.get(room) ?? new Set()).add(other))
    }
  }
  const cycles: string[] = []
  const walk = (path: readonly string[]): void => {
    for (const next of edges.get(path.at(-1) ?? '') ?? []) {
      if (next === path[0]) cycles.push([...path, next].join(' → '))
      else if (!path.includes(next)) walk([...path, next])
    }
  }
  for (const room of edges.keys()) walk([room])
  t.strictSame(cycles, [])
})

t.test('the domain knows no transport, no driver, no log and no clock', async (t) => {
  const wrong: string[] = []
  const byFile = new Map(ours.map((source) => [source.file, source]))
  for (const source of ours.filter(({ file }) => DOMAIN.includes(roomOf(file) ?? ''))) {
    const groundFloor = localImports(source).filter(({ target }) => roomOf(target) === undefined)
    for (const { file, imports } of [source, ...groundFloor.flatMap(({ target }) => byFile.get(target) ?? [])]) {
      const found = imports.map(({ specifier }) => specifier).find((specifier) => OUTSIDE_DOMAIN.includes(specifier))
      const by = file === source.file ? '' : ` by way of ${file}`
      if (found !== undefined) wrong.push(`${source.file}: a domain file must not import ${found}${by}`)
    }
    visit(source.tree, (node) => {
      if (readsClock(node)) wrong.push(`${source.file}: a domain file is handed the time: ${node.getText(source.tree)}`)
    })
  }
  t.strictSame(wrong, [])
})

t.test('what is imported is declared as a dependency, and what is declared is imported', async (t) => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }
  const declared = Object.keys(manifest.dependencies)
  const used = new Map<string, string>()
  for (const { file, imports } of shipped) {
    for (const { specifier } of imports) {
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
      used.set(name, file)
    }
  }
  const undeclared = [...used].filter(([name]) => !declared.includes(name))
  t.strictSame(
    undeclared.map(([name, file]) => `${file}: ${name} is not in "dependencies"`),
    [],
  )
  t.strictSame(
    declared.filter((name) => !used.has(name)).map((name) => `package.json: no file imports ${name}`),
    [],
  )
})

t.test('every export is imported somewhere, or is a type that another export is described with', async (t) => {
  const wanted = new Map<string, Set<string>>()
  for (const source of sources) {
    for (const { target, names } of localImports(source)) {
      const known = wanted.get(target) ?? new Set<string>()
      for (const name of names === 'all' ? ['*'] : names) known.add(name)
      wanted.set(target, known)
    }
  }
  const dead = ours.flatMap(({ file, tree }) => {
    const names = wanted.get(file) ?? new Set()
    const described = typesInSignatures(tree)
    const unused = exportsOf(tree).filter((name) => !names.has(name) && !names.has('*') && !described.has(name))
    return unused.map((name) => `${file}: nothing imports ${name}`)
  })
  t.strictSame(dead, [])
})

t.test('no file has more than 400 lines', async (t) => {
  const long = sources.map(({ file, tree }) => [file, tree.text.trimEnd().split('\n').length] as const)
  t.strictSame(
    long.filter(([, lines]) => lines > 400).map(([file, lines]) => `${file}: ${lines} lines, at most 400`),
    [],
  )
})

function findRoot(from: string): string {
  return existsSync(join(from, 'package.json')) && existsSync(join(from, 'src')) ? from : findRoot(dirname(from))
}

function listFiles(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => /\.[jt]s$/.test(name)).map((name) => `${folder}/${name}`)
}

function readSource(file: string): Source {
  const tree = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.ES2023, true)
  const imports: Import[] = []
  visit(tree, (node) => {
    if (ts.isImportDeclaration(node)) imports.push(readImport(node))
    if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
      imports.push({ specifier: textOf(node.moduleSpecifier), names: 'all', typesOnly: node.isTypeOnly })
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      imports.push({ specifier: textOf(node.arguments[0]), names: 'all', typesOnly: false })
  })
  return { file, tree, imports }
}

function readImport({ moduleSpecifier, importClause }: ts.ImportDeclaration): Import {
  const bindings = importClause?.namedBindings
  const elements = bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements : []
  const isWhole = bindings !== undefined && ts.isNamespaceImport(bindings)
  return {
    specifier: textOf(moduleSpecifier),
    names: isWhole ? 'all' : elements.map(({ name, propertyName }) => (propertyName ?? name).text),
    typesOnly: importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
  }
}

function textOf(node: ts.Node | undefined): string {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : ''
}

function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node)
  ts.forEachChild(node, (child) => visit(child, look))
}

/** The imports of our own files, each with the source file that it names; `bin` imports what was built from it. */
function localImports({ file, imports }: Source): readonly (Import & { readonly target: string })[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map((one) => {
      const path = relative(root, join(root, dirname(file), one.specifier))
      return { ...one, target: path.replace(/^build\//, '').replace(/\.js$/, '.ts') }
    })
}

/** `src/store/open.ts` → `store`; `undefined` for the ground floor. */
function roomOf(file: string): string | undefined {
  const [, room, rest] = file.split('/')
  return rest === undefined ? undefined : room
}

function readsClock(node: ts.Node): boolean {
  if (ts.isNewExpression(node)) return node.expression.getText() === 'Date' && (node.arguments ?? []).length === 0
  return ts.isCallExpression(node) && ['Date', 'Date.now'].includes(node.expression.getText())
}

function isExported(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
  )
}

function exportsOf(tree: ts.SourceFile): string[] {
  return tree.statements.filter(isExported).flatMap((node) => {
    if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText())
    return 'name' in node ? [(node.name as ts.Identifier).text] : []
  })
}

/** The names of types by which exports are described: in parameters, results and members, not in bodies. */
function typesInSignatures(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>()
  const look = (node: ts.Node): void => {
    if (ts.isTypeReferenceNode(node)) names.add(node.typeName.getText())
    if (ts.isExpressionWithTypeArguments(node)) names.add(node.expression.getText())
    if (!ts.isBlock(node)) ts.forEachChild(node, look)
  }
  for (const node of tree.statements.filter(isExported)) look(node)
  return names
}
