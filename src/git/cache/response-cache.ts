import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { CacheResult } from '../../protocol/backend.js'
import { Recording } from './cache-entry.js'

/** What the shelf has done so far. */
export type ShelfCounts = Readonly<Record<CacheResult | 'evicted' | 'writeFailures', number>> & {
  readonly entries: number
  readonly bytes: number
}

// After a write that failed, such as on a full disk, the cache rests.
const RESTS_FOR = 60_000
// Beside its bytes an entry costs about so much.
const ENTRY = 1_024
// Of the quota, as much may be in memory.
const MEMORY_SHARE = 8

/** What the shelf is made of. */
export type ShelfOptions = {
  /** A folder of its own; what is in it is removed. */
  readonly folder: string
  /** Bytes that may be kept, in memory and on disk. */
  readonly quota: number
  /** Told when the disk fails, or is full. */
  readonly onLost: (error: unknown) => void
  /** Milliseconds for which nothing is recorded then. @default 60_000 */
  readonly restsFor?: number
  /** Milliseconds until a client that waits for an answer reads so. */
  readonly firstProgressMs: number
}

/** Answers by their keys: those that run, and those that are kept until others need the room. */
export class Shelf {
  readonly #options: ShelfOptions
  /** In the order of their last use. */
  readonly #entries = new Map<string, Recording>()
  readonly #kept = new Set<Recording>()
  readonly #counts = { hit: 0, coalesced: 0, miss: 0, bypass: 0, evicted: 0, writeFailures: 0 }
  /** What is held, of answers that run and of those that are given up but still read as well. */
  #inMemory = 0
  #onDisk = 0
  #files = 0
  #restsUntil = 0
  #isFolderThere = true

  constructor(options: ShelfOptions) {
    this.#options = options
    rmSync(options.folder, { recursive: true, force: true })
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  }

  /** Whether anything may be recorded now. */
  get isOpen(): boolean {
    return performance.now() >= this.#restsUntil
  }

  /** An answer that is kept, or under way. */
  find(key: string): Recording | undefined {
    const found = this.#entries.get(key)
    if (found === undefined) return undefined
    if (found.signal.aborted) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, found)
    return found
  }

  /** Begins to record an answer, which others with the same key find from now on. */
  begin(key: string): Recording {
    this.#openFolder()
    const path = join(this.#options.folder, String((this.#files += 1)))
    const recording: Recording = new Recording(
      path,
      {
        claimMemory: (bytes) => this.#claimMemory(bytes),
        claimDisk: (bytes) => this.#claimDisk(bytes),
        release: (inMemory, onDisk) => {
          this.#inMemory -= inMemory
          this.#onDisk -= onDisk
        },
        onLost: (error) => {
          if (error !== undefined) this.#rest(error)
          // One that runs is given up at its end.
          if (recording.end === undefined) this.#forget(key, recording)
          else this.drop(key, recording)
        },
      },
      this.#options.firstProgressMs,
    )
    this.#entries.set(key, recording)
    return recording
  }

  /** Keeps an answer that is whole. */
  keep(key: string, recording: Recording): void {
    if (this.#entries.get(key) !== recording) return this.drop(key, recording)
    this.#kept.add(recording)
    this.#inMemory += ENTRY
    this.#claimMemory(0)
  }

  /** Offers an answer to nobody any more. Whoever reads it gets the rest. */
  drop(key: string, recording: Recording): void {
    this.#forget(key, recording)
    if (recording.isRead) recording.whenIdle(() => void recording.bytes.dispose())
    else void recording.bytes.dispose()
  }

  /** Drops all that is kept. What runs goes on for those that read it, is found by nobody else, and is not kept. */
  clear(): void {
    for (const [key, recording] of this.#entries) {
      if (this.#kept.has(recording)) this.drop(key, recording)
      else this.#forget(key, recording)
    }
  }

  /** Counts what the cache did for a request. */
  count(result: CacheResult): void {
    this.#counts[result] += 1
  }

  get counts(): ShelfCounts {
    return { ...this.#counts, entries: this.#entries.size, bytes: this.#inMemory + this.#onDisk }
  }

  /** Gives up everything. */
  close(): void {
    this.clear()
    rmSync(this.#options.folder, { recursive: true, force: true })
  }

  #forget(key: string, recording: Recording): void {
    if (this.#entries.get(key) !== recording) return
    this.#entries.delete(key)
    if (this.#kept.delete(recording)) this.#inMemory -= ENTRY
  }

  #claimMemory(bytes: number): boolean {
    const most = this.#options.quota / MEMORY_SHARE
    this.#evict(
      (recording) => recording.bytes.inMemory !== undefined,
      () => this.#inMemory + bytes > most,
    )
    if (this.#inMemory + bytes > most) return false
    this.#inMemory += bytes
    return true
  }

  #claimDisk(bytes: number): boolean {
    const most = this.#options.quota - this.#options.quota / MEMORY_SHARE
    this.#evict(
      (recording) => recording.bytes.inMemory === undefined,
      () => this.#onDisk + bytes > most,
    )
    if (this.#onDisk + bytes > most) return false
    this.#onDisk += bytes
    return true
  }

  /** Drops what was not used for the longest time. One that is read goes when it was read. */
  #evict(isThere: (recording: Recording) => boolean, isNeeded: () => boolean): void {
    if (!isNeeded()) return
    for (const [key, recording] of this.#entries) {
      if (!this.#kept.has(recording) || !isThere(recording)) continue
      this.#counts.evicted += 1
      this.drop(key, recording)
      if (!isNeeded()) return
    }
  }

  #rest(error: unknown): void {
    this.#counts.writeFailures += 1
    this.#restsUntil = performance.now() + (this.#options.restsFor ?? RESTS_FOR)
    this.#isFolderThere = false
    this.#options.onLost(error)
  }

  /** After a failure: perhaps somebody has removed it. */
  #openFolder(): void {
    if (this.#isFolderThere) return
    try {
      mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 })
      this.#isFolderThere = true
    } catch {
      // Whoever needs a file says why there is none.
    }
  }
}
