import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'
import type { RefList } from '../../protocol/backend.js'
import { readOutput } from './git-process.js'
import type { GitProgram } from './git-program.js'
import { gitEnvironment, inRepository } from './git-program.js'

// Some 800,000 refs.
const MAX_LIST_BYTES = 64 * 1_048_576
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
  return readRefFiles(folder) ?? (await listRefs(git, folder))
}

/**
 * Reads all refs from a repository's files (Git's documentation: gitrepository-layout). To have git list them takes a process, and
 * so 10 ms or more, for each fetch after a push.
 *
 * @param folder the bare repository
 * @returns `undefined` if only git can tell: there are symbolic refs, unusual names, many loose refs, or no files of refs
 */
export function readRefFiles(folder: string): RefList | undefined {
  try {
    return readFiles(folder)
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
  const ids = new Map<string, string>()
  // Latin-1 keeps every byte. Names need not be UTF-8, and two names must not become one.
  for (const [, id = '', name = ''] of bytes.toString('latin1').matchAll(LISTED_REF)) ids.set(name, id)
  return { ids, tips: new Set(ids.values()) }
}

/**
 * Whether a repository keeps its refs, `HEAD` among them, in files of its own. Otherwise (reftable, a `commondir`) only git can read
 * them: with reftable, the file `HEAD` says `ref: refs/heads/.invalid`, and no ref has a file. Git takes this setting from the
 * repository's own configuration file, without its includes.
 */
export function keepsRefsInFiles(folder: string): boolean {
  if (['reftable/tables.list', 'commondir'].some((name) => existsSync(join(folder, name)))) return false
  try {
    return !/refstorage/i.test(readIfThere(join(folder, 'config')) ?? '')
  } catch {
    // Git reports what is wrong.
    return false
  }
}

function readFiles(folder: string): RefList | undefined {
  if (!keepsRefsInFiles(folder)) return undefined
  const ids = new Map<string, string>()
  if (!addPacked(readIfThere(join(folder, 'packed-refs')) ?? '', ids) || !addLoose(folder, ids)) return undefined
  const inOrder = [...ids].sort(([one], [other]) => (one < other ? -1 : 1))
  return { ids: new Map(inOrder), tips: new Set(ids.values()) }
}

/** @returns whether every line was understood */
function addPacked(list: string, ids: Map<string, string>): boolean {
  for (const line of list.split('\n')) {
    // `^` is the object that the tag of the line before points to.
    if (line === '' || line.startsWith('#') || line.startsWith('^')) continue
    const [, id, name] = PACKED_REF.exec(line) ?? []
    if (id === undefined || name === undefined) return false
    ids.set(name, id)
  }
  return true
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
