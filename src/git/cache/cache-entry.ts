import { Writable } from 'node:stream'
import type { AnswerHead, Exchange, QueueCounts, ServeOutcome } from '../../protocol/backend.js'
import type { Room } from './spool-file.js'
import { Bytes } from './spool-file.js'

// When the last reader has left, another may still come: a client that tries again.
const ABANDONED_AFTER = 500
// What fits into one packet of the network is not worth the CPU.
const WORTH_COMPRESSING = 1_400
// What a reader takes at once; two of them are under way.
const PART = 524_288

/** A client that is given an answer. */
type Player = Pick<Exchange, 'begin' | 'signal' | 'onWait' | 'turn'>

/**
 * One run of the backend and its answer, which any number of readers take at their own speeds: while it grows, and afterwards.
 * A reader that leaves ends nothing for the others; when all have left, the run is ended.
 */
export class Recording {
  readonly bytes: Bytes
  readonly #room: Room
  readonly #firstProgressMs: number
  readonly #run: AbortController = new AbortController()
  readonly #readers = new Map<object, Exchange['onWait']>()
  #head: AnswerHead = {}
  #end: ServeOutcome | undefined
  #waiting: (() => void)[] = []
  #abandoning: NodeJS.Timeout | undefined
  #onIdle: (() => void) | undefined
  #onJoin: ((account: string) => void) | undefined
  /** While it waits for its turn. */
  #queue: QueueCounts | undefined

  /**
   * @param path of a file for it, should it be long
   * @param room that the cache has for it
   * @param firstProgressMs milliseconds until a client that waits for it reads so
   */
  constructor(path: string, room: Room, firstProgressMs: number) {
    this.#firstProgressMs = firstProgressMs
    this.#room = room
    this.bytes = new Bytes(path, () => this.#wake(), room)
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal(): AbortSignal {
    return this.#run.signal
  }

  /** How it ended; `undefined` while it runs. */
  get end(): ServeOutcome | undefined {
    return this.#end
  }

  /** Whether somebody reads it. */
  get isRead(): boolean {
    return this.#readers.size > 0
  }

  /** Notes what the backend says of its answer. */
  setHead(head: AnswerHead = {}): void {
    this.#head = head
  }

  /** Tells its readers that the run waits for its turn. */
  tellWait(queue: QueueCounts): void {
    this.#queue = queue
    for (const onWait of this.#readers.values()) onWait?.(queue)
  }

  /** What the backend writes its answer to. @param watch sees each piece */
  input(watch: (piece: Buffer) => void): Writable {
    return new Writable({
      highWaterMark: PART,
      write: (piece: Buffer, _encoding, done) => {
        watch(piece)
        void this.bytes.append(piece).then(() => done())
      },
    })
  }

  /** Notes that the run has ended. */
  async finish(end: ServeOutcome): Promise<void> {
    await this.bytes.flush()
    this.#end = end
    this.#wake()
  }

  /** Has a function called with each account that comes to read it. */
  whenJoined(join: (account: string) => void): void {
    this.#onJoin = join
  }

  /** Has a function called when the last reader has left. */
  whenIdle(done: () => void): void {
    this.#onIdle = done
  }

  /**
   * Gives the answer to a client, from its first byte on.
   *
   * @param exchange the client's
   */
  async play({ begin, signal, onWait, turn }: Player): Promise<ServeOutcome> {
    const reader = {}
    this.#readers.set(reader, onWait)
    this.bytes.enter(reader)
    clearTimeout(this.#abandoning)
    this.#onJoin?.(turn.of)
    const words = this.#end === undefined ? setTimeout(() => this.#tellLate(onWait), this.#firstProgressMs) : undefined
    try {
      return await this.#play(reader, begin, signal)
    } finally {
      clearTimeout(words)
      this.bytes.leave(reader)
      this.#readers.delete(reader)
      if (this.#readers.size === 0) this.#idle()
    }
  }

  /** Who comes while it waits is not told before its next word otherwise, which may be half a minute away. */
  #tellLate(onWait: Exchange['onWait']): void {
    if (this.#queue !== undefined && this.bytes.length === 0 && this.#end === undefined) onWait?.(this.#queue)
  }

  async #play(reader: object, begin: (head?: AnswerHead) => Writable, signal: AbortSignal): Promise<ServeOutcome> {
    while (this.bytes.length === 0 && this.#end === undefined) {
      if (signal.aborted) return LEFT
      await this.#change(signal)
    }
    const ended = this.#end
    if (ended !== undefined && ended.kind !== 'answered') return this.bytes.length === 0 ? ended : BROKEN
    // Words of ours must fit into what is streamed: an answer whose length was said can only be cut.
    const small = ended === undefined ? undefined : this.bytes.inMemory
    const length = small === undefined ? undefined : this.bytes.length
    const { compressible, cacheControl, contentEncoding } = this.#head
    const isLong = length === undefined || length > WORTH_COMPRESSING
    const client = begin({
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
   * Sends what is in memory while it grows; its pieces never change, so none is copied.
   *
   * @returns how much was sent when it was all, or when the rest was to be found elsewhere
   */
  async #sendMemory(client: Writable, signal: AbortSignal): Promise<number> {
    let [position, count] = [0, 0]
    for (let pieces = this.bytes.inMemory; pieces !== undefined; pieces = this.bytes.inMemory) {
      if (signal.aborted || client.destroyed) return position
      const fresh = pieces.slice(count)
      const last = fresh.pop()
      if (last !== undefined) {
        count = pieces.length
        for (const piece of fresh) client.write(piece)
        position = this.bytes.length
        await sent(client, last, signal)
      } else if (this.#end === undefined) await this.#change(signal)
      else return position
    }
    return position
  }

  /** Two parts take turns: while one is being sent, the next is read. */
  async #stream(reader: object, start: number, client: Writable, signal: AbortSignal): Promise<ServeOutcome> {
    let parts: readonly [Buffer, Buffer] | undefined
    let sending: Promise<void> = Promise.resolve()
    for (let position = start, turn = 0; ;) {
      if (signal.aborted || client.destroyed) return LEFT
      if (position >= this.bytes.length) {
        const ended = this.#end
        if (ended === undefined) {
          await this.#change(signal)
          continue
        }
        await sending
        return ended.kind === 'answered' ? ended : BROKEN
      }
      parts ??= [Buffer.allocUnsafeSlow(PART), Buffer.allocUnsafeSlow(PART)]
      const part = parts[turn % 2 === 0 ? 0 : 1]
      const count = await this.#read(reader, position, part)
      if (count === undefined) return BROKEN
      position += count
      turn += 1
      await sending
      sending = sent(client, part.subarray(0, count), signal)
    }
  }

  /** @returns `undefined` where no more can be read */
  async #read(reader: object, position: number, part: Buffer): Promise<number | undefined> {
    try {
      return await this.bytes.read(reader, position, part)
    } catch (error) {
      // The disk fails, or somebody has cut the file.
      this.#room.onLost(error)
      return undefined
    }
  }

  #idle(): void {
    this.#onIdle?.()
    if (this.#end === undefined) this.#abandoning = setTimeout(() => this.#run.abort(), ABANDONED_AFTER)
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

const LEFT: ServeOutcome = { kind: 'broken', reason: 'the client left' }
const BROKEN: ServeOutcome = { kind: 'broken', reason: 'the answer that was shared broke off' }

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
