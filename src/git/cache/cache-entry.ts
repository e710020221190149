import { Writable } from 'node:stream'
import type { BackendRequest, QueueCounts, ResponseHead, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import type { StorageBudget } from './spool-file.js'
import { SpoolFile } from './spool-file.js'

// After the last client has left, another may come, such as one that retries.
const ABANDON_TIMEOUT_MS = 500
// A response that fits into one network packet isn't worth the CPU.
const COMPRESS_THRESHOLD_BYTES = 1_400
// A reader has two buffers of this size: one is sent while the other is filled.
const READ_SIZE_BYTES = 524_288

/** A client that reads an entry. */
type EntryReader = Pick<ResponseWriter, 'begin' | 'onQueued'>

/**
 * One response of the backend, which any number of clients read at their own speeds while it grows and afterwards. A client
 * that leaves doesn't disturb the others. When all have left, the backend's work is aborted.
 */
export class CacheEntry {
  readonly spool: SpoolFile
  readonly #budget: StorageBudget
  readonly #firstProgressMs: number
  readonly #abort: AbortController = new AbortController()
  readonly #readers = new Set<EntryReader>()
  #head: ResponseHead = {}
  #end: ServeOutcome | undefined
  /** Called when more bytes can be read, or at the end. */
  #onChange: (() => void)[] = []
  #abandonTimer: NodeJS.Timeout | undefined
  #onIdle: (() => void) | undefined
  #onJoin: ((account: string) => void) | undefined
  /** Set while the request waits for a slot. */
  #queue: QueueCounts | undefined

  /**
   * @param path of the file for a long response
   * @param budget the part of the cache's quota that it may use
   * @param firstProgressMs how long a client waits before it sees that its request is queued, in milliseconds
   */
  constructor(path: string, budget: StorageBudget, firstProgressMs: number) {
    this.#firstProgressMs = firstProgressMs
    this.#budget = budget
    this.spool = new SpoolFile(path, () => this.#notify(), budget)
  }

  /** Aborted when all clients have left before the end. */
  get signal(): AbortSignal {
    return this.#abort.signal
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
  get hasReaders(): boolean {
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

  /** Where the backend writes its response to. @param watch called with each piece */
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
    // It has its slot. A kept entry must not hold the request that produced it.
    this.#onJoin = undefined
    this.#notify()
  }

  /** Calls a function with the account of each client that starts to read, until the end of the response. */
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
    clearTimeout(this.#abandonTimer)
    this.#onJoin?.(slotRequest.account)
    const lateReport =
      this.#end === undefined ? setTimeout(() => this.#reportQueueLate(reader), this.#firstProgressMs) : undefined
    try {
      return await this.#send(reader, signal)
    } finally {
      clearTimeout(lateReport)
      this.spool.removeReader(reader)
      this.#readers.delete(reader)
      if (this.#readers.size === 0) this.#idle()
    }
  }

  /** A client that joins a queued request would otherwise see nothing until the next report, up to 30 s later. */
  #reportQueueLate(reader: EntryReader): void {
    if (this.#queue !== undefined && this.spool.length === 0 && this.#end === undefined) reader.onQueued(this.#queue)
  }

  async #send(reader: EntryReader, signal: AbortSignal): Promise<ServeOutcome> {
    while (this.spool.length === 0 && this.#end === undefined) {
      if (signal.aborted) return CLIENT_LEFT
      await this.#nextChange(signal)
    }
    const ended = this.#end
    if (ended !== undefined && ended.kind !== 'answered') return this.spool.length === 0 ? ended : BROKEN
    // A response in progress is streamed, because one with a Content-Length has no room for a terminal message.
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
   * Sends the pieces in memory, without copying them, until the end or until the response is no longer in memory.
   *
   * @returns how many bytes were sent
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
        await write(client, last, signal)
      } else if (this.#end === undefined) await this.#nextChange(signal)
      else return position
    }
    return position
  }

  /** Sends the rest: while one buffer is sent, the next one is filled. */
  async #stream(reader: object, start: number, client: Writable, signal: AbortSignal): Promise<ServeOutcome> {
    let buffers: readonly [Buffer, Buffer] | undefined
    let sending: Promise<void> = Promise.resolve()
    for (let position = start, reads = 0; ;) {
      if (signal.aborted || client.destroyed) return CLIENT_LEFT
      if (position >= this.spool.length) {
        const ended = this.#end
        if (ended === undefined) {
          await this.#nextChange(signal)
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
      sending = write(client, part.subarray(0, count), signal)
    }
  }

  /** @returns `undefined` when nothing more can be read */
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
    if (this.#end === undefined) this.#abandonTimer = setTimeout(() => this.#abort.abort(), ABANDON_TIMEOUT_MS)
  }

  #notify(): void {
    const listeners = this.#onChange
    this.#onChange = []
    for (const listener of listeners) listener()
  }

  async #nextChange(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#onChange.push(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

/** The outcome of a request whose client has left. */
export const CLIENT_LEFT: ServeOutcome = { kind: 'broken', reason: 'the client left' }
const BROKEN: ServeOutcome = { kind: 'broken', reason: 'the shared response broke off' }

/** Resolves when the bytes may be overwritten, or when the client has left. */
async function write(client: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> {
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
