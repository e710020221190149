import type { BigIntStats } from 'node:fs'
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RepositoryState } from '../../protocol/backend.js'
import { reachesOutside } from './config-reach.js'
import { hasTrustedStamps } from './file-system.js'
import type { LastChange } from './settling.js'
import { Stamps, Uncacheable } from './stamps.js'

/** A repository's state as its files show it, settled or not. */
export type Reading = {
  readonly state: RepositoryState
  readonly lastChange: LastChange
  /** How many files lie under `refs/`, each of which costs a reading 5 µs or more. */
  readonly looseRefs: number
}

const CONFIGURATION = ['config', 'config.worktree', 'shallow', 'info/grafts', 'objects/info/alternates']
const REFERENCES = ['HEAD', 'packed-refs', 'reftable/tables.list']
// A file that came and went again between two readings shows in its folder alone.
const FOLDERS = ['info', 'objects/info', 'reftable']
// A few milliseconds; others on this thread wait no longer, however many refs there are.
const STATS_AT_A_STRETCH = 256

/**
 * Reads what an answer of a repository depends on, by dev, inode, size, mtime and ctime of each file.
 *
 * It is no snapshot, nor need it be: an answer is kept only where readings before and after it agree, and a reading that
 * mixes two moments agrees with no other, since a stamp that has changed never returns.
 *
 * @param folder the absolute path of the bare repository
 * @returns `undefined` where nothing may be kept of it: it is gone or unreadable, its files don't tell all (a config that
 *   includes others, a symbolic link, a `commondir`), or its file system doesn't
 */
export async function readRepository(folder: string): Promise<Reading | undefined> {
  try {
    return await read(folder)
  } catch (error) {
    // Whatever the system says, git is asked itself and gives the reason. Anything else is our mistake.
    if (error instanceof Uncacheable || (error instanceof Error && 'syscall' in error)) return undefined
    throw error
  }
}

async function read(folder: string): Promise<Reading> {
  const readAt = Date.now()
  const look = (name: string): BigIntStats | undefined =>
    lstatSync(join(folder, name), { bigint: true, throwIfNoEntry: false })
  const itself = look('.')
  if (itself?.isDirectory() !== true) throw new Uncacheable('no repository')
  if (look('commondir') !== undefined) throw new Uncacheable('the refs are kept elsewhere')
  if (!hasTrustedStamps(folder)) throw new Uncacheable('a file system without stamps to trust')

  const identity = new Stamps()
  // Inode numbers are used again, and a repository made anew may get its predecessor's.
  identity.addText(`${folder}\0${itself.dev}.${itself.ino}.${itself.birthtimeNs}`)

  const configuration = new Stamps()
  const found = CONFIGURATION.map((name) => ({ name, stats: look(name) }))
  for (const { name, stats } of found) configuration.add(name, stats)
  // After their stamps, so that a change in between shows next time.
  const texts = found.flatMap(({ name, stats }) => (stats !== undefined && name.startsWith('config') ? name : []))
  if (reachesOutside(folder, texts)) throw new Uncacheable('a configuration that others are part of')

  const all = new Stamps()
  all.add('.', itself)
  for (const name of [...FOLDERS, ...REFERENCES]) all.add(name, look(name))
  const looseRefs = await addLooseRefs(all, look, folder)

  const state = { identity: identity.digest(), configuration: configuration.digest() }
  all.addText(`${state.identity}\0${state.configuration}`)
  const newest = all.newest > configuration.newest ? all.newest : configuration.newest
  const inWholeSeconds = all.inWholeSeconds && configuration.inWholeSeconds
  return {
    state: { ...state, fingerprint: all.digest() },
    lastChange: { newest, inWholeSeconds, readAt },
    looseRefs,
  }
}

/** @returns how many files there are */
async function addLooseRefs(
  stamps: Stamps,
  look: (name: string) => BigIntStats | undefined,
  folder: string,
): Promise<number> {
  const refs = look('refs')
  if (refs?.isDirectory() !== true) throw new Uncacheable('no repository')
  stamps.add('refs', refs)
  let files = 0
  let looked = 0
  // A folder's stamp is always taken before its names are read.
  for (const open = ['refs']; ;) {
    const directory = open.pop()
    if (directory === undefined) return files
    for (const entry of readdirSync(join(folder, directory)).sort()) {
      // A ref's name may be any bytes, and this one can't be looked at by its text.
      if (entry.includes('\uFFFD')) throw new Uncacheable('a name that is not UTF-8')
      const name = `${directory}/${entry}`
      const stats = look(name)
      stamps.add(name, stats)
      if (stats?.isDirectory() === true) open.push(name)
      else files++
      if (++looked % STATS_AT_A_STRETCH === 0) await nextTurn()
    }
  }
}
