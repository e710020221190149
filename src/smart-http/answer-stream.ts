import type { TransformCallback, Writable } from 'node:stream'
import { Transform } from 'node:stream'
import type { AnswerLead } from '../protocol/answer-tracker.js'
import { AnswerTracker } from '../protocol/answer-tracker.js'
import type { AnswerHead } from '../protocol/backend.js'
import type { OpenExchange } from './exchange.js'

/** An exchange into whose answer words of ours can be put. */
export type SpeakingExchange = OpenExchange & {
  /** Ends the answer where its current packet ends. @returns false where nothing can be said */
  readonly endWith: (lastWords: Buffer) => boolean
}

/**
 * Lets words of ours into a multiplexed answer.
 *
 * @param notice packets to stand before the answer's own; empty: none
 */
export function speaking(served: OpenExchange, lead: AnswerLead, notice: Buffer): SpeakingExchange {
  let stream: AnswerStream | undefined
  const begin = ({ contentLength, ...head }: AnswerHead = {}): Writable => {
    // Of an answer that is compressed, or whose length was said, nothing can be changed any more.
    const isFixed = head.contentEncoding !== undefined || (contentLength !== undefined && notice.length === 0)
    if (isFixed) return served.git.begin({ ...head, ...(contentLength === undefined ? {} : { contentLength }) })
    stream = new AnswerStream(new AnswerTracker(lead, notice), head.isReused === true)
    stream.pipe(served.git.begin(head))
    return stream
  }
  return {
    git: { ...served.git, begin },
    end: () => (stream === undefined ? served.end() : stream.end()),
    abort: served.abort,
    endWith(lastWords) {
      if (stream?.endWith(lastWords) !== true) return false
      if (stream.readableEnded) served.abort()
      else stream.once('end', served.abort)
      return true
    },
  }
}

class AnswerStream extends Transform {
  readonly #tracker: AnswerTracker
  readonly #copies: boolean

  /** @param copies whether what is written may change once it was taken */
  constructor(tracker: AnswerTracker, copies: boolean) {
    super()
    this.#tracker = tracker
    this.#copies = copies
  }

  endWith(lastWords: Buffer): boolean {
    const now = this.#tracker.endWith(lastWords)
    if (now === undefined) return false
    this.#send(now)
    return true
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    // What comes after the last words is dropped.
    if (!this.#tracker.hasEnded) this.#send(this.#tracker.push(this.#copies ? Buffer.from(piece) : piece))
    done()
  }

  #send(bytes: Buffer): void {
    if (bytes.length > 0) this.push(bytes)
    if (this.#tracker.hasEnded) this.push(null)
  }
}
