// The rules that a compiler does not know: who may import whom, what the domain must not touch, no dead code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'

/** The folders under `src`, and what each may import: the table of docs/architecture.md. Nothing but `bin` imports `app`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  config: ['core'],
  protocol: ['core'],
  'domain/audit': ['core'],
  'domain/accounts': ['core', 'domain/audit'],
  'domain/tokens': ['core', 'protocol', 'domain/accounts', 'domain/audit'],
  'domain/notifications': ['core', 'domain/audit', 'domain/tokens'],
  'domain/policies': ['core', 'domain/accounts', 'domain/audit', 'domain/tokens'],
  'domain/access': ['core', 'protocol', 'domain/accounts', 'domain/audit', 'domain/policies', 'domain/tokens'],
  server: ['core', 'config'],
  storage: ['core', 'domain'],
  'audit-export': ['core', 'domain/audit'],
  'git/admission': ['core', 'protocol'],
  'git/cache': ['core', 'protocol'],
  'git/embedded': ['core', 'protocol'],
  'git/upstream': ['core', 'protocol'],
  'git/http': ['core', 'protocol', 'domain/access', 'domain/audit'],
  cluster: ['core', 'protocol', 'git/admission', 'server'],
  jobs: ['core', 'config', 'server', 'domain'],
  api: ['core', 'protocol', 'server', 'domain'],
  web: ['core', 'protocol', 'server', 'domain'],
  cli: ['core', 'config', 'protocol', 'domain'],
  app: [
    'core',
    'config',
    'protocol',
    'domain',
    'server',
    'storage',
    'audit-export',
    'git',
    'cluster',
    'jobs',
    'api',
    'web',
    'cli',
  ],
}
/** Folders that know the domain by its types alone; but audit events are chained, and redacted, where they are written. */
const TYPES_ONLY = ['storage']
const VALUES_FOR_ALL = ['src/domain/audit/chain.ts', 'src/domain/audit/event.ts', 'src/domain/tokens/token-secret.ts']
/** What would tie a decision to a transport, a driver or the log. */
const OUTSIDE_DOMAIN = ['node:http', 'node:https', 'node:http2', 'better-sqlite3', 'kysely', 'pino']

/** Names that the field has better words for. */
const RETIRED = [
  ...['HttpExchange', 'OpenExchange', 'LiveExchanges', 'Admitted', 'LastWords', 'GitTrail', 'conclude', 'Front'],
  ...['Surroundings', 'Rooms', 'CliRooms', 'Duties', 'Crew', 'Colleague', 'Place', 'hear'],
  ...['shield', 'Shelf', 'Recording', 'Player', 'Desk', 'WholenessTracker', 'Gatherings', 'SharedRuns'],
  ...['Lanes', 'Lane', 'Turn', 'TurnClaim', 'crowded'],
  ...['Exchange', 'SpeakingExchange', 'Spoken', 'speaking', 'announcing', 'withWords', 'AnswerTracker', 'AnswerHead'],
  ...['AnswerLead', 'Remainder', 'tapReport', 'handOver', 'onWait', 'tellWait', 'Suspect', 'suspects', 'Taken'],
  ...['Trail', 'AuditTrail', 'AuditMark', 'Standing', 'standing', 'suspect', 'ReachSets', 'ReachMemory'],
  ...['Notice', 'News', 'Letter', 'doer', 'Visitor', 'HalfSignedIn', 'Elsewhere', 'Asked', 'parseAsked', 'readAsked'],
  ...['duties', 'told', 'passOnce', 'GreetedSockets', 'Belongings', 'belongings', 'readMemo', 'changeMemo'],
  ...['notice', 'asked', 'GATHER_FOR'],
  ...['reach', 'reachByScopes', 'knowsReach', 'cloneWhole', 'LOOK_EVERY', 'PATIENCE', 'LAST_STEPS', 'MANY'],
]

type Import = { readonly specifier: string; readonly names: readonly string[] | 'all'; readonly typesOnly: boolean }
type Source = { readonly file: string; readonly tree: ts.SourceFile; readonly imports: readonly Import[] }

const root = findRoot(import.meta.dirname)
const sources = ['src', 'test', 'bench', 'bin'].flatMap(listFiles).map(readSource)
const ours = sources.filter(({ file }) => file.startsWith('src/'))
const shipped = sources.filter(({ file }) => !/^(test|bench)\//.test(file))

t.test('a folder imports only those that the table lets it', async (t) => {
  const wrong: string[] = []
  for (const source of ours) {
    const folder = folderOf(source.file)
    const allowed = MAY_IMPORT[folder]
    if (allowed === undefined) wrong.push(`${source.file}: the folder ${folder} is not in the table`)
    for (const { target, typesOnly } of localImports(source)) {
      const other = folderOf(target)
      if (other === folder) continue
      const isAllowed = allowed?.some((name) => other === name || other.startsWith(`${name}/`)) ?? false
      if (!isAllowed) wrong.push(`${source.file}: ${folder} must not import ${target}`)
      else if (TYPES_ONLY.includes(folder) && other !== 'core' && !typesOnly && !VALUES_FOR_ALL.includes(target))
        wrong.push(`${source.file}: ${folder} may import only types, not the values of ${target}`)
    }
  }
  t.strictSame(wrong, [])
})

t.test('no files import each other in a circle, and no folders', async (t) => {
  const files = new Map<string, Set<string>>()
  const folders = new Map<string, Set<string>>()
  const add = (edges: Map<string, Set<string>>, from: string, to: string): void => {
    if (from !== to) edges.set(from, (edges.get(from) ?? new Set()).add(to))
  }
  for (const source of ours) {
    for (const { target } of localImports(source)) {
      add(files, source.file, target)
      add(folders, folderOf(source.file), folderOf(target))
    }
  }
  t.strictSame([...findCycles(files), ...findCycles(folders)], [])
})

t.test('the domain knows no transport, no driver, no log and no clock', async (t) => {
  const wrong: string[] = []
  const byFile = new Map(ours.map((source) => [source.file, source]))
  for (const source of ours.filter(({ file }) => file.startsWith('src/domain/'))) {
    const core = localImports(source).filter(({ target }) => folderOf(target) === 'core')
    for (const { file, imports } of [source, ...core.flatMap(({ target }) => byFile.get(target) ?? [])]) {
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

t.test('no two files under src have the same name, so that an editor finds the one that is meant', async (t) => {
  const names = ours.map(({ file }) => basename(file))
  t.strictSame(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  )
})

t.test('no retired name comes back', async (t) => {
  const found = new Set<string>()
  for (const { file, tree } of sources)
    visit(tree, (node) => {
      if (ts.isIdentifier(node) && RETIRED.includes(node.text)) found.add(`${file}: ${node.text}`)
    })
  t.strictSame([...found], [])
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

/** `src/storage/open.ts` → `storage`, `src/git/http/handler.ts` → `git/http`. */
function folderOf(file: string): string {
  const [, first = '', second = ''] = file.split('/')
  return ['domain', 'git'].includes(first) ? `${first}/${second}` : first
}

/** The cycles of a graph, each as its members in a row. */
function findCycles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const cycles: string[] = []
  const done = new Set<string>()
  const walk = (node: string, path: readonly string[]): void => {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node].join(' → '))
    if (done.has(node) || path.includes(node)) return
    for (const next of edges.get(node) ?? []) walk(next, [...path, node])
    done.add(node)
  }
  for (const node of edges.keys()) walk(node, [])
  return cycles
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
