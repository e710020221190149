import { Writable } from 'node:stream'
import type { BackendRequest, QueueCounts, ResponseHead, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import type { StorageBudget } from './spool-file.js'
import { SpoolFile } from './spool-file.js'

// After the last reader has left another may come, such as a client that retries.
const ABANDON_TIMEOUT_MS = 500
// A response that fits into one network packet isn't worth the CPU.
const COMPRESS_THRESHOLD_BYTES = 1_400
// A reader has two buffers of this size: one is sent while the other is filled.
const READ_SIZE_BYTES = 524_288

/** The client that reads an entry. */
type EntryReader = Pick<ResponseWriter, 'begin' | 'onQueued'>

/**
 * One response of the backend, which any number of clients read at their own speeds while it grows and afterwards.
 * A client that leaves doesn't disturb the others. When all have left, the backend's work is aborted.
 */
export class CacheEntry {
  readonly spool: SpoolFile
  readonly #budget: StorageBudget
  readonly #firstProgressMs: number
  readonly #aborting: AbortController = new AbortController()
  readonly #readers = new Set<EntryReader>()
  #head: ResponseHead = {}
  #end: ServeOutcome | undefined
  #waiting: (() => void)[] = []
  #abandoning: NodeJS.Timeout | undefined
  #onIdle: (() => void) | undefined
  #onJoin: ((account: string) => void) | undefined
  /** Set while the request waits for a slot. */
  #queue: QueueCounts | undefined

  /**
   * @param path of its file, if the response gets long
   * @param budget that the cache has for it
   * @param firstProgressMs how long a client waits before it sees that its request is queued, in milliseconds
   */
  constructor(path: string, budget: StorageBudget, firstProgressMs: number) {
    this.#firstProgressMs = firstProgressMs
    this.#budget = budget
    this.spool = new SpoolFile(path, () => this.#wake(), budget)
  }

  /** Aborted when no client waits for the response any more. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  /** The head of the backend's response. */
  get head(): ResponseHead {
    return this.#head
  }

  /** How it ended; `undefined` while in progress. */
  get end(): ServeOutcome | undefined {
    return this.#end
  }

  /** Whether a client is reading it. */
  get isRead(): boolean {
    return this.#readers.size > 0
  }

  /** Stores the head of the backend's response. */
  setHead(head: ResponseHead = {}): void {
    this.#head = head
  }

  /** Reports to the clients that the request waits for a slot. */
  reportQueue(queue: QueueCounts): void {
    this.#queue = queue
    for (const reader of this.#readers) reader.onQueued(queue)
  }

  /** What the backend writes its response to. @param watch sees each piece */
  writable(watch: (piece: Buffer) => void): Writable {
    return new Writable({
      highWaterMark: READ_SIZE_BYTES,
      write: (piece: Buffer, _encoding, done) => {
        watch(piece)
        void this.spool.append(piece).then(() => done())
      },
    })
  }

  /** Marks the end of the response. */
  async finish(end: ServeOutcome): Promise<void> {
    await this.spool.flush()
    this.#end = end
    this.#wake()
  }

  /** Calls a function with the account of each client that starts to read. */
  onJoin(join: (account: string) => void): void {
    this.#onJoin = join
  }

  /** Calls a function when the last client has left. */
  onIdle(done: () => void): void {
    this.#onIdle = done
  }

  /** Sends the response to a client from its first byte, as it arrives. */
  async pipeTo(
    { signal, slotRequest }: Pick<BackendRequest, 'signal' | 'slotRequest'>,
    reader: EntryReader,
  ): Promise<ServeOutcome> {
    this.#readers.add(reader)
    this.spool.addReader(reader)
    clearTimeout(this.#abandoning)
    this.#onJoin?.(slotRequest.account)
    const lateReport =
      this.#end === undefined ? setTimeout(() => this.#reportQueueTo(reader), this.#firstProgressMs) : undefined
    try {
      return await this.#pipeTo(reader, signal)
    } finally {
      clearTimeout(lateReport)
      this.spool.removeReader(reader)
      this.#readers.delete(reader)
      if (this.#readers.size === 0) this.#idle()
    }
  }

  /** A client that joins a queued request would otherwise see nothing until the next report, up to 30 s later. */
  #reportQueueTo(reader: EntryReader): void {
    if (this.#queue !== undefined && this.spool.length === 0 && this.#end === undefined) reader.onQueued(this.#queue)
  }

  async #pipeTo(reader: EntryReader, signal: AbortSignal): Promise<ServeOutcome> {
    while (this.spool.length === 0 && this.#end === undefined) {
      if (signal.aborted) return CLIENT_LEFT
      await this.#change(signal)
    }
    const ended = this.#end
    if (ended !== undefined && ended.kind !== 'answered') return this.spool.length === 0 ? ended : BROKEN
    // Only a streamed response has room for our messages: one with a Content-Length can only be cut off.
    const small = ended === undefined ? undefined : this.spool.inMemory
    const length = small === undefined ? undefined : this.spool.length
    const { compressible, cacheControl, contentEncoding } = this.#head
    const isLong = length === undefined || length > COMPRESS_THRESHOLD_BYTES
    const client = reader.begin({
      ...(cacheControl === undefined ? {} : { cacheControl }),
      ...(contentEncoding === undefined ? {} : { contentEncoding }),
      ...(length === undefined ? {} : { contentLength: length }),
      ...(compressible === true && isLong ? { compressible } : {}),
    })
    if (small !== undefined) {
      for (const piece of small) client.write(piece)
      return ended ?? BROKEN
    }
    const position = await this.#sendMemory(client, signal)
    return await this.#stream(reader, position, client, signal)
  }

  /**
   * Sends what is in memory while it grows. Its pieces never change, so none is copied.
   *
   * @returns how many bytes were sent, when that was all of it or when the rest is no longer in memory
   */
  async #sendMemory(client: Writable, signal: AbortSignal): Promise<number> {
    let [position, count] = [0, 0]
    for (let pieces = this.spool.inMemory; pieces !== undefined; pieces = this.spool.inMemory) {
      if (signal.aborted || client.destroyed) return position
      const fresh = pieces.slice(count)
      const last = fresh.pop()
      if (last !== undefined) {
        count = pieces.length
        for (const piece of fresh) client.write(piece)
        position = this.spool.length
        await sent(client, last, signal)
      } else if (this.#end === undefined) await this.#change(signal)
      else return position
    }
    return position
  }

  /** Reads into one buffer while the other is sent. */
  async #stream(reader: object, start: number, client: Writable, signal: AbortSignal): Promise<ServeOutcome> {
    let buffers: readonly [Buffer, Buffer] | undefined
    let sending: Promise<void> = Promise.resolve()
    for (let position = start, reads = 0; ;) {
      if (signal.aborted || client.destroyed) return CLIENT_LEFT
      if (position >= this.spool.length) {
        const ended = this.#end
        if (ended === undefined) {
          await this.#change(signal)
          continue
        }
        await sending
        return ended.kind === 'answered' ? ended : BROKEN
      }
      buffers ??= [Buffer.allocUnsafeSlow(READ_SIZE_BYTES), Buffer.allocUnsafeSlow(READ_SIZE_BYTES)]
      const part = buffers[reads % 2 === 0 ? 0 : 1]
      const count = await this.#read(reader, position, part)
      if (count === undefined) return BROKEN
      position += count
      reads += 1
      await sending
      sending = sent(client, part.subarray(0, count), signal)
    }
  }

  /** @returns `undefined` when no more can be read */
  async #read(reader: object, position: number, part: Buffer): Promise<number | undefined> {
    try {
      return await this.spool.read(reader, position, part)
    } catch (error) {
      // The disk failed, or the file was truncated.
      this.#budget.onLost(error)
      return undefined
    }
  }

  #idle(): void {
    this.#onIdle?.()
    if (this.#end === undefined) this.#abandoning = setTimeout(() => this.#aborting.abort(), ABANDON_TIMEOUT_MS)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  async #change(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.push(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

export const CLIENT_LEFT: ServeOutcome = { kind: 'broken', reason: 'the client left' }
const BROKEN: ServeOutcome = { kind: 'broken', reason: 'the shared response broke off' }

/** Sends bytes. @returns when they may be changed, or when the client has left */
async function sent(client: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
    client.write(bytes, done)
  })
}
