import { isUtf8 } from 'node:buffer'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { hasSystemCode } from '../../core/errors.js'
import { mapInSlices } from '../../core/event-loop.js'
import type { RefList, RefTargets } from '../../protocol/backend.js'
import { isRefName } from '../../protocol/pattern.js'
import { readOutput } from './git-process.js'
import type { GitProgram } from './git-program.js'
import { askGit, gitEnvironment, inRepository } from './git-program.js'

// Some 250,000 refs. The fetches of larger repositories bypass the cache: to remember their refs would take too much memory.
const MAX_LIST_BYTES = 16 * 1_048_576
// They take 4 ms.
const REFS_PER_TURN = 2_000
const LISTED_REF = /^([0-9a-f]{40,64}) (refs\/.+)$/gm
// The parts of a name. Git allows many more characters, and ignores some names, such as `main.lock`.
const PLAIN_NAME = /^[0-9A-Za-z_+-]+(\.[0-9A-Za-z_+-]+)*$/
const LOOSE_REF = /^(?!0+\n)([0-9a-f]{40}|[0-9a-f]{64})\n$/
const PACKED_REF = /^(?!0+ )([0-9a-f]{40}|[0-9a-f]{64}) (refs\/.+)$/
// Each costs 20 µs, which block all requests.
const MAX_LOOSE_REFS = 200

/**
 * Lists all refs of a repository, from its files or else by git.
 *
 * This is no snapshot: the caller compares the repository's fingerprints before and after.
 *
 * @param folder the bare repository
 * @returns `undefined` if git fails, or lists too many
 */
export async function readRefs(git: GitProgram, folder: string): Promise<RefList | undefined> {
  return (await readRefFiles(folder)) ?? (await listRefs(git, folder))
}

/**
 * Reads all refs from a repository's files (Git's documentation: gitrepository-layout). To have git list them takes a process, and
 * so 10 ms or more, for each fetch after a push.
 *
 * @param folder the bare repository
 * @returns `undefined` if only git can tell: there are symbolic refs, unusual names, many loose refs, or no files of refs
 */
export async function readRefFiles(folder: string): Promise<RefList | undefined> {
  try {
    return await readFiles(folder)
  } catch (error) {
    // Git may still be able to read it.
    if (error instanceof Error && 'syscall' in error) return undefined
    throw error
  }
}

/**
 * Lists all refs of a repository by git. Tags aren't peeled: that would read the object of each tag, and nobody needs the result.
 *
 * @param folder the bare repository
 * @returns `undefined` if git fails, or lists too many
 */
export async function listRefs(git: GitProgram, folder: string): Promise<RefList | undefined> {
  const args = [...inRepository(folder), 'for-each-ref', '--format=%(objectname) %(refname)']
  const command = { program: git.path, args, env: gitEnvironment() }
  const { bytes, failure } = await readOutput(git.start, command, undefined, MAX_LIST_BYTES)
  if (failure !== undefined) return undefined
  const refs = new RefListBuilder()
  // Latin-1 keeps every byte. Names need not be UTF-8, and two names must not become one.
  for (const [, id = '', name = ''] of bytes.toString('latin1').matchAll(LISTED_REF)) await refs.add(name, id)
  return refs.list
}

/** Builds a list of refs, and yields to other requests in between. */
class RefListBuilder {
  readonly #ids = new Map<string, string>()
  readonly #tips = new Set<string>()
  #count = 0

  get list(): RefList {
    return { ids: this.#ids, tips: this.#tips }
  }

  /** Adds a ref. They come in the order of their names. */
  async add(name: string, id: string): Promise<void> {
    this.#ids.set(name, id)
    this.#tips.add(id)
    if (++this.#count % REFS_PER_TURN === 0) await setImmediate()
  }
}

/**
 * Whether a repository keeps its refs, `HEAD` among them, in files of its own. Otherwise (reftable, a `commondir`) only git can read
 * them: with reftable, the file `HEAD` says `ref: refs/heads/.invalid`, and no ref has a file. Git takes this setting from the
 * repository's own configuration file, without its includes.
 */
function keepsRefsInFiles(folder: string): boolean {
  if (['reftable/tables.list', 'commondir'].some((name) => existsSync(join(folder, name)))) return false
  try {
    return !/refstorage/i.test(readIfThere(join(folder, 'config')) ?? '')
  } catch {
    // Git reports what is wrong.
    return false
  }
}

async function readFiles(folder: string): Promise<RefList | undefined> {
  if (!keepsRefsInFiles(folder)) return undefined
  const loose = new Map<string, string>()
  if (!addLoose(folder, loose)) return undefined
  const packed = readIfThere(join(folder, 'packed-refs')) ?? ''
  if (packed.length > MAX_LIST_BYTES) return undefined
  const refs = new RefListBuilder()
  const ahead = [...loose].sort(([one], [other]) => (one < other ? -1 : 1))
  let before = ''
  for (const [name, id] of packedRefs(packed)) {
    // Git writes them in order. Other programs may not.
    if (name === undefined || name <= before) return undefined
    before = name
    for (let next = ahead[0]; next !== undefined && next[0] < name; next = ahead[0]) {
      await refs.add(...next)
      ahead.shift()
    }
    // A loose ref overrides a packed one.
    if (ahead[0]?.[0] !== name) await refs.add(name, id)
  }
  for (const ref of ahead) await refs.add(...ref)
  return refs.list
}

/** The refs of a `packed-refs` file in its order. A line that is not understood has no name. */
function* packedRefs(list: string): Generator<[name: string | undefined, id: string]> {
  for (let start = 0, end = 0; start < list.length; start = end + 1) {
    end = list.indexOf('\n', start)
    if (end === -1) end = list.length
    const line = list.slice(start, end)
    // `^` is the object that the tag of the line before points to.
    if (line === '' || line.startsWith('#') || line.startsWith('^')) continue
    const [, id = '', name] = PACKED_REF.exec(line) ?? []
    yield [name, id]
  }
}

/** Adds the loose refs, which override packed ones of the same name. @returns whether all were understood */
function addLoose(folder: string, ids: Map<string, string>): boolean {
  let count = 0
  for (const open = ['refs']; ;) {
    const directory = open.pop()
    if (directory === undefined) return true
    for (const entry of readdirSync(join(folder, directory), { withFileTypes: true })) {
      const name = `${directory}/${entry.name}`
      if (!PLAIN_NAME.test(entry.name) || entry.name.endsWith('.lock') || ++count > MAX_LOOSE_REFS) return false
      if (entry.isDirectory()) {
        open.push(name)
        continue
      }
      const [, id] = entry.isFile() ? (LOOSE_REF.exec(readIfThere(join(folder, name)) ?? '') ?? []) : []
      if (id === undefined) return false
      ids.set(name, id)
    }
  }
}

/** As Latin-1, which keeps every byte. */
function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

// Each costs a git process of some 5 ms, since git has no command that reads several.
const MAX_GIT_READS = 500
// For more refs than this, git first lists those that exist, instead of reading each.
const LIST_THRESHOLD = 8

/**
 * Resolves symbolic refs: a push to one changes its target. Only names whose files may be symbolic cost a git process.
 *
 * @param folder the bare repository
 * @param names ref names as bytes
 * @returns the target of each name, which is the name itself if it is not symbolic; `undefined` if that isn't known
 */
export async function followSymbolicRefs(
  git: GitProgram,
  folder: string,
  names: readonly Buffer[],
): Promise<RefTargets> {
  const inFiles = keepsRefsInFiles(folder)
  const mayBeSymbolic = await mapInSlices(
    names,
    // Git itself refuses invalid names.
    (name) => isRefName(name.toString()) && (!inFiles || isSymbolicFile(folder, name)),
  )
  const unsure = names.filter((_, index) => mayBeSymbolic[index])
  const plain = unsure.length > LIST_THRESHOLD ? await listPlainRefs(git, folder) : new Set<string>()
  let gitReads = 0
  const targets: (string | undefined)[] = []
  for (const [index, name] of names.entries()) {
    if (mayBeSymbolic[index] !== true || plain.has(name.toString('latin1'))) targets.push(name.toString())
    else targets.push(gitReads++ < MAX_GIT_READS ? await readSymbolicRef(git, folder, name) : undefined)
  }
  return targets
}

/**
 * Reads a symbolic ref, such as `HEAD`.
 *
 * @returns the ref at the end of the chain, or the name itself if it is not symbolic; `undefined` if git fails
 */
async function readSymbolicRef(git: GitProgram, folder: string, name: Buffer): Promise<string | undefined> {
  // Node passes arguments as UTF-8 text.
  if (!isUtf8(name)) return undefined
  const args = [...inRepository(folder), 'symbolic-ref', '--quiet', '--', name.toString()]
  const { bytes, exitStatus } = await readOutput(git.start, { program: git.path, args, env: gitEnvironment() })
  if (exitStatus === 1) return name.toString()
  return exitStatus === 0 ? bytes.toString().replace(/\n$/, '') : undefined
}

/** The names, as Latin-1, of existing refs that are not symbolic. */
async function listPlainRefs(git: GitProgram, folder: string): Promise<ReadonlySet<string>> {
  const args = [...inRepository(folder), 'for-each-ref', '--format=%(symref) %(refname)']
  const command = { program: git.path, args, env: gitEnvironment() }
  const { bytes, failure } = await readOutput(git.start, command, undefined, MAX_LIST_BYTES)
  if (failure !== undefined) return new Set()
  const lines = bytes.toString('latin1').split('\n')
  return new Set(lines.filter((line) => line.startsWith(' ')).map((line) => line.slice(1)))
}

/** Whether a ref's file holds a symbolic ref, or is a symbolic link, which git reads as one. A packed ref has no file. */
function isSymbolicFile(folder: string, name: Buffer): boolean {
  const path = Buffer.concat([Buffer.from(`${folder}/`), name])
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined || stats.isDirectory()) return false
    return !stats.isFile() || readFileSync(path, 'latin1').startsWith('ref:')
  } catch (error) {
    // No such file, or a file in the place of a folder.
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return false
    // Git decides.
    return true
  }
}

const BRANCHES = 'refs/heads/'

/**
 * Lists the branches of a repository whose HEAD is unborn: it names a branch that doesn't exist.
 *
 * @returns `undefined` if HEAD is born, as in nearly every push; with refs in files, that costs reading two small ones
 */
export async function branchesBesideUnbornHead(git: GitProgram, folder: string): Promise<string[] | undefined> {
  const inFiles = keepsRefsInFiles(folder)
  const head = inFiles ? readHead(folder) : await readSymbolicRef(git, folder, Buffer.from('HEAD'))
  if (head?.startsWith(BRANCHES) !== true) return undefined
  const isBorn = inFiles ? isRef(folder, head) : (await listBranches(git, folder, head)).includes(head)
  return isBorn ? undefined : await listBranches(git, folder)
}

/**
 * Points an unborn HEAD to a branch that a push has just created, so that a clone checks it out: a repository created for `main` may
 * get a `master`.
 *
 * @param before the result of {@link branchesBesideUnbornHead} before the push
 */
export async function adoptFirstBranch(git: GitProgram, folder: string, before: readonly string[]): Promise<void> {
  if ((await branchesBesideUnbornHead(git, folder)) === undefined) return
  const created = (await listBranches(git, folder)).filter((branch) => !before.includes(branch))
  const chosen = created.find((branch) => branch === `${BRANCHES}master`) ?? created[0]
  if (chosen !== undefined) await askGit(git, [...inRepository(folder), 'symbolic-ref', 'HEAD', chosen])
}

/** @param prefix a ref, or the folder of several. It begins with `refs/`, so git can't take it for a flag. */
async function listBranches(git: GitProgram, folder: string, prefix = BRANCHES): Promise<string[]> {
  const text = await askGit(git, [...inRepository(folder), 'for-each-ref', '--format=%(refname)', prefix])
  return text.split('\n').filter((line) => line !== '')
}

function readHead(folder: string): string | undefined {
  return /^ref: (.+)$/.exec(readText(join(folder, 'HEAD')).trim())?.[1]
}

function isRef(folder: string, ref: string): boolean {
  return readText(join(folder, ref)) !== '' || readText(join(folder, 'packed-refs')).includes(` ${ref}\n`)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return ''
    throw error
  }
}
