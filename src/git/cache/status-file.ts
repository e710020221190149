import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Instance } from '../../core/instances.js'
import { joinInstances, lockInstances, newInstanceId } from '../../core/instances.js'
import type { Repeated } from '../../core/repeat.js'
import { repeat } from '../../core/repeat.js'
import type { CacheCounts } from './response-cache.js'

/** What a gate reports about its cache. */
export type CacheReport = CacheCounts & {
  readonly instance: string
  /** Not unique: gates in containers may share it. */
  readonly pid: number
  readonly quota: number
  readonly at: string
}

/** The cache folder of one process, as long as it is alive. */
export type OwnCacheFolder = { readonly path: string; readonly instance: Instance }

const CLEAR_REQUEST = 'cleared'
const REPORT_FILE = 'report.json'
const POLL_INTERVAL_MS = 1_000
// Named after the instance, or after the process ID by earlier versions.
const CACHE_NAME = /^(?:[0-9a-f]{16}|\d{1,10})$/

/** Writes what `gitgate cache stats` shows, and notices when `gitgate cache clear` asks to clear the cache. */
export class CacheStatusFile {
  readonly #root: string
  readonly #polling: Repeated
  #clearedAt: number
  #written = ''

  /**
   * @param root the cache folder of all gates of one data folder
   * @param report the current figures
   * @param clear called when a command asks for it
   * @param onError called when the folder can't be used: commands then see old figures, and the cache goes on
   */
  constructor(root: string, report: () => CacheReport, clear: () => void, onError: (error: unknown) => void) {
    this.#root = root
    this.#clearedAt = clearedAt(root)
    const poll = (): void => {
      const at = clearedAt(root)
      if (at !== this.#clearedAt) clear()
      this.#clearedAt = at
      this.#write(report())
    }
    this.#polling = repeat(POLL_INTERVAL_MS, () => Promise.resolve().then(poll), onError)
  }

  async close(): Promise<void> {
    await this.#polling.stop()
  }

  #write(report: CacheReport): void {
    const text = JSON.stringify(report)
    const same = JSON.stringify({ ...report, at: '' })
    if (same === this.#written) return
    const path = join(this.#root, report.instance, REPORT_FILE)
    // By a rename, so that a command reads the old report or the new one, never half of one.
    writeFileSync(`${path}.draft`, text, { mode: 0o600 })
    renameSync(`${path}.draft`, path)
    this.#written = same
  }
}

/** The folder, in a data folder, of the caches of its gates. */
export function cacheFolderIn(dataFolder: string): string {
  return join(dataFolder, 'cache')
}

/**
 * Creates the cache folder of this process, and removes those of gates that are gone: nothing that a crash leaves behind is
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

/** The reports of running gates. */
export async function readReports(root: string): Promise<CacheReport[]> {
  return (await findLive(root)).flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(root, name, REPORT_FILE), 'utf8')) as CacheReport]
    } catch {
      // It has reported nothing yet.
      return []
    }
  })
}

/** Asks running gates to clear their caches. @returns how many there are */
export async function requestClear(root: string): Promise<number> {
  const live = await findLive(root)
  if (live.length === 0) return 0
  const path = join(root, CLEAR_REQUEST)
  writeFileSync(path, '', { mode: 0o600 })
  const now = new Date()
  utimesSync(path, now, now)
  return live.length
}

async function findLive(root: string): Promise<readonly string[]> {
  return statSync(root, { throwIfNoEntry: false })?.isDirectory() === true
    ? await lockInstances(root, (live) => live)
    : []
}

function clearedAt(root: string): number {
  return statSync(join(root, CLEAR_REQUEST), { throwIfNoEntry: false })?.mtimeMs ?? 0
}
