import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { CacheResult } from '../../protocol/backend.js'
import { CacheEntry } from './cache-entry.js'

/** What the cache holds, and what it has done since the process started. */
export type CacheCounts = Readonly<Record<CacheResult | 'evicted' | 'writeFailures', number>> & {
  readonly entries: number
  readonly bytes: number
}

// How long after a failed write, for example on a full disk.
const DISABLED_MS = 60_000
// The approximate memory of an entry beside its bytes.
const ENTRY_OVERHEAD_BYTES = 1_024
// The part of the quota that may be in memory. The rest may be on disk.
const MEMORY_SHARE = 1 / 8

export type ResponseCacheOptions = {
  /** A folder for this cache alone. Its contents are removed. */
  readonly folder: string
  /** Bytes, in memory and on disk together. */
  readonly quota: number
  /** Called when the disk fails or is full. */
  readonly onLost: (error: unknown) => void
  /** How long the cache then stores nothing, in milliseconds. @default 60_000 */
  readonly disabledMs?: number
  /** How long a client waits before it sees that its request is queued, in milliseconds. */
  readonly firstProgressMs: number
}

/** Responses by key: those in progress, and complete ones until they are evicted. Least recently used entries are evicted first. */
export class ResponseCache {
  readonly #options: ResponseCacheOptions
  /** Least recently used first. */
  readonly #entries = new Map<string, CacheEntry>()
  readonly #kept = new Set<CacheEntry>()
  readonly #counts = { hit: 0, coalesced: 0, miss: 0, bypass: 0, evicted: 0, writeFailures: 0 }
  /** Bytes of all entries: those in progress, and those that were dropped but still have readers, included. */
  #inMemory = 0
  #onDisk = 0
  #files = 0
  #disabledUntil = 0
  #folderExists = true

  constructor(options: ResponseCacheOptions) {
    this.#options = options
    rmSync(options.folder, { recursive: true, force: true })
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  }

  /** Whether new responses are stored. */
  get isEnabled(): boolean {
    return performance.now() >= this.#disabledUntil
  }

  /** A complete response, or one in progress. */
  find(key: string): CacheEntry | undefined {
    const found = this.#entries.get(key)
    if (found === undefined || found.signal.aborted) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, found)
    return found
  }

  /** Starts an entry, which later requests with the same key join. */
  begin(key: string): CacheEntry {
    this.#openFolder()
    const path = join(this.#options.folder, String((this.#files += 1)))
    const entry: CacheEntry = new CacheEntry(
      path,
      {
        claimMemory: (bytes) => this.#claimMemory(bytes),
        claimDisk: (bytes) => this.#claimDisk(bytes),
        release: (inMemory, onDisk) => {
          this.#inMemory -= inMemory
          this.#onDisk -= onDisk
        },
        onLost: (error) => {
          if (error !== undefined) this.#disable(error)
          // An entry in progress is dropped when it ends.
          if (entry.end === undefined) this.#forget(key, entry)
          else this.drop(key, entry)
        },
      },
      this.#options.firstProgressMs,
    )
    this.#entries.set(key, entry)
    return entry
  }

  /** Keeps a complete response. */
  keep(key: string, entry: CacheEntry): void {
    if (this.#entries.get(key) !== entry) return this.drop(key, entry)
    this.#kept.add(entry)
    this.#inMemory += ENTRY_OVERHEAD_BYTES
    this.#claimMemory(0)
  }

  /** Removes an entry. Its present readers still get the rest. */
  drop(key: string, entry: CacheEntry): void {
    this.#forget(key, entry)
    if (entry.hasReaders) entry.onIdle(() => void entry.spool.dispose())
    else void entry.spool.dispose()
  }

  /** Removes all entries. Those in progress go on for their present readers, and are not kept. */
  clear(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#kept.has(entry)) this.drop(key, entry)
      else this.#forget(key, entry)
    }
  }

  /** Counts what the cache did for a request. */
  count(result: CacheResult): void {
    this.#counts[result] += 1
  }

  get counts(): CacheCounts {
    return { ...this.#counts, entries: this.#entries.size, bytes: this.#inMemory + this.#onDisk }
  }

  /** Removes all entries and the folder. */
  close(): void {
    this.clear()
    rmSync(this.#options.folder, { recursive: true, force: true })
  }

  #forget(key: string, entry: CacheEntry): void {
    if (this.#entries.get(key) !== entry) return
    this.#entries.delete(key)
    if (this.#kept.delete(entry)) this.#inMemory -= ENTRY_OVERHEAD_BYTES
  }

  #claimMemory(bytes: number): boolean {
    const limit = this.#options.quota * MEMORY_SHARE
    this.#evict(
      (entry) => entry.spool.inMemory !== undefined,
      () => this.#inMemory + bytes > limit,
    )
    if (this.#inMemory + bytes > limit) return false
    this.#inMemory += bytes
    return true
  }

  #claimDisk(bytes: number): boolean {
    const limit = this.#options.quota * (1 - MEMORY_SHARE)
    this.#evict(
      (entry) => entry.spool.inMemory === undefined,
      () => this.#onDisk + bytes > limit,
    )
    if (this.#onDisk + bytes > limit) return false
    this.#onDisk += bytes
    return true
  }

  /** Evicts the least recently used entries. One that is being read is disposed of after its last reader. */
  #evict(isCandidate: (entry: CacheEntry) => boolean, isNeeded: () => boolean): void {
    if (!isNeeded()) return
    for (const [key, entry] of this.#entries) {
      if (!this.#kept.has(entry) || !isCandidate(entry)) continue
      this.#counts.evicted += 1
      this.drop(key, entry)
      if (!isNeeded()) return
    }
  }

  #disable(error: unknown): void {
    this.#counts.writeFailures += 1
    this.#disabledUntil = performance.now() + (this.#options.disabledMs ?? DISABLED_MS)
    this.#folderExists = false
    this.#options.onLost(error)
  }

  /** After a failure: the folder may have been removed. */
  #openFolder(): void {
    if (this.#folderExists) return
    try {
      mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 })
      this.#folderExists = true
    } catch {
      // The entry that needs a file reports why there is none.
    }
  }
}
