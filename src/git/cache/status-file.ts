import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Instance } from '../../core/instances.js'
import { joinInstances, lockInstances, newInstanceId } from '../../core/instances.js'
import type { Repeated } from '../../core/repeat.js'
import { repeat } from '../../core/repeat.js'
import type { CacheCounts } from './response-cache.js'

/** What a gate tells about its cache. */
export type CacheReport = CacheCounts & {
  readonly instance: string
  /** Two gates in containers may have the same. */
  readonly pid: number
  readonly quota: number
  readonly at: string
}

/** Where one process keeps its part of the cache, as long as it is alive. */
export type OwnCacheFolder = { readonly path: string; readonly instance: Instance }

const CLEARED = 'cleared'
const REPORT = 'report.json'
const POLL_INTERVAL_MS = 1_000
// By instance, or by process ID as earlier versions did.
const CACHE_NAME = /^(?:[0-9a-f]{16}|\d{1,10})$/

/** The folder in which one gate keeps its cache, and is told by commands to clear it. */
export class Desk {
  readonly #root: string
  readonly #looking: Repeated
  #clearedAt: number
  #reported = ''

  /**
   * Makes room for this gate, and removes what gates have left that are gone.
   *
   * @param root the folder of all gates of one data folder
   * @param report what is to be told
   * @param clear called when a command asks for it
   * @param onError told when the folder can't be used: commands then see old figures, and the cache works on
   */
  constructor(root: string, report: () => CacheReport, clear: () => void, onError: (error: unknown) => void) {
    this.#root = root
    this.#clearedAt = clearedAt(root)
    const look = (): void => {
      const at = clearedAt(root)
      if (at !== this.#clearedAt) clear()
      this.#clearedAt = at
      this.#write(report())
    }
    this.#looking = repeat(POLL_INTERVAL_MS, () => Promise.resolve().then(look), onError)
  }

  async close(): Promise<void> {
    await this.#looking.stop()
  }

  #write(report: CacheReport): void {
    const text = JSON.stringify(report)
    const same = JSON.stringify({ ...report, at: '' })
    if (same === this.#reported) return
    const path = join(this.#root, report.instance, REPORT)
    // A command that reads it finds the old one or the new one, never half of one.
    writeFileSync(`${path}.draft`, text, { mode: 0o600 })
    renameSync(`${path}.draft`, path)
    this.#reported = same
  }
}

/** Where a data folder has room for the caches of its gates. */
export function cacheFolderIn(dataFolder: string): string {
  return join(dataFolder, 'cache')
}

/**
 * Gives this process a folder for its files. What gates have left that are gone is removed: a crash leaves nothing that is
 * served later.
 */
export async function openCacheFolder(root: string): Promise<OwnCacheFolder> {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const instance = await joinInstances(root, newInstanceId(), (live) => {
    for (const name of readdirSync(root))
      if (CACHE_NAME.test(name) && !live.includes(name)) rmSync(join(root, name), { recursive: true, force: true })
  })
  return { path: join(root, instance.id), instance }
}

/** What running gates tell about their caches. */
export async function readReports(root: string): Promise<CacheReport[]> {
  return (await findLive(root)).flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(root, name, REPORT), 'utf8')) as CacheReport]
    } catch {
      // It has told nothing yet.
      return []
    }
  })
}

/** Has running gates clear their caches. @returns how many there are */
export async function askToClear(root: string): Promise<number> {
  const live = await findLive(root)
  if (live.length === 0) return 0
  const mark = join(root, CLEARED)
  writeFileSync(mark, '', { mode: 0o600 })
  const now = new Date()
  utimesSync(mark, now, now)
  return live.length
}

async function findLive(root: string): Promise<readonly string[]> {
  return statSync(root, { throwIfNoEntry: false })?.isDirectory() === true
    ? await lockInstances(root, (live) => live)
    : []
}

function clearedAt(root: string): number {
  return statSync(join(root, CLEARED), { throwIfNoEntry: false })?.mtimeMs ?? 0
}
