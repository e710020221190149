import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'
import type { RefList } from '../../protocol/backend.js'

// Of a name's parts; git takes many more, and ignores some of them, such as `main.lock`.
const PLAIN = /^[0-9A-Za-z_+-]+(\.[0-9A-Za-z_+-]+)*$/
const LOOSE = /^(?!0+\n)([0-9a-f]{40}|[0-9a-f]{64})\n$/
const PACKED = /^(?!0+ )([0-9a-f]{40}|[0-9a-f]{64}) (refs\/.+)$/
// Each costs 20 µs, during which everybody waits.
const MOST_LOOSE = 200

/**
 * All refs of a repository as its files have them (Git's documentation: gitrepository-layout), where these are of the usual
 * kind: a packed list and loose files that hold ids. To have git list them takes a process, 10 ms and more, for each fetch
 * after a push.
 *
 * It is no snapshot: whoever asks compares the files' stamps before and after.
 *
 * @param folder the bare repository
 * @returns `undefined` where git itself is to be asked: for symbolic refs, names that are not plain, refs kept elsewhere or
 *   in another way, and a great number of loose ones
 */
export function readRefFiles(folder: string): RefList | undefined {
  try {
    return read(folder)
  } catch (error) {
    // Git may know better what to make of it.
    if (error instanceof Error && 'syscall' in error) return undefined
    throw error
  }
}

/**
 * Whether a repository keeps its refs, `HEAD` among them, in files of its own. Otherwise (reftable, a `commondir`) git must be asked:
 * with reftable, `HEAD` reads `ref: refs/heads/.invalid`, and no ref has a file. Git decides by the configuration alone, without
 * what it includes.
 */
export function keepsRefsInFiles(folder: string): boolean {
  if (['reftable/tables.list', 'commondir'].some((name) => existsSync(join(folder, name)))) return false
  try {
    return !/refstorage/i.test(readIfThere(join(folder, 'config')) ?? '')
  } catch {
    // Whatever is wrong, git says it.
    return false
  }
}

function read(folder: string): RefList | undefined {
  if (!keepsRefsInFiles(folder)) return undefined
  const ids = new Map<string, string>()
  if (!addPacked(readIfThere(join(folder, 'packed-refs')) ?? '', ids) || !addLoose(folder, ids)) return undefined
  const inOrder = [...ids].sort(([one], [other]) => (one < other ? -1 : 1))
  return { ids: new Map(inOrder), tips: new Set(ids.values()) }
}

/** @returns whether every line was understood */
function addPacked(list: string, ids: Map<string, string>): boolean {
  for (const line of list.split('\n')) {
    // What a tag points at is not listed.
    if (line === '' || line.startsWith('#') || line.startsWith('^')) continue
    const [, id, name] = PACKED.exec(line) ?? []
    if (id === undefined || name === undefined) return false
    ids.set(name, id)
  }
  return true
}

/** Loose refs stand for packed ones of the same name. @returns whether all were understood */
function addLoose(folder: string, ids: Map<string, string>): boolean {
  let count = 0
  for (const open = ['refs']; ;) {
    const directory = open.pop()
    if (directory === undefined) return true
    for (const entry of readdirSync(join(folder, directory), { withFileTypes: true })) {
      const name = `${directory}/${entry.name}`
      if (!PLAIN.test(entry.name) || entry.name.endsWith('.lock') || ++count > MOST_LOOSE) return false
      if (entry.isDirectory()) {
        open.push(name)
        continue
      }
      const [, id] = entry.isFile() ? (LOOSE.exec(readIfThere(join(folder, name)) ?? '') ?? []) : []
      if (id === undefined) return false
      ids.set(name, id)
    }
  }
}

/** As Latin-1, which keeps every byte: names need not be UTF-8, and two of them must not become one. */
function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}
