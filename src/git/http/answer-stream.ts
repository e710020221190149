import { Writable } from 'node:stream'
import type { AnswerLead } from '../../protocol/answer-tracker.js'
import { AnswerTracker } from '../../protocol/answer-tracker.js'
import type { ResponseHead } from '../../protocol/backend.js'
import type { GitResponse } from './git-response.js'

/** An exchange into whose answer words of ours can be put. */
export type SpeakingExchange = GitResponse & {
  /** Ends the answer where its current packet ends. @returns false where nothing can be said */
  readonly endWith: (message: Buffer) => boolean
}

/**
 * Lets words of ours into a multiplexed answer. The server is asked not to compress it (RFC 9110, 12.5.3): into a compressed
 * answer nothing can be put, and one that was announced before it came would be taken for packets.
 *
 * @param notice packets to stand before the answer's own; empty: none
 */
export function speaking(served: GitResponse, lead: AnswerLead, notice: Buffer): SpeakingExchange {
  let stream: AnswerStream | undefined
  const begin = ({ contentLength, ...head }: ResponseHead = {}): Writable => {
    // Of an answer that is compressed, or whose length was said, nothing can be changed any more.
    const isFixed = head.contentEncoding !== undefined || (contentLength !== undefined && notice.length === 0)
    if (isFixed) return served.writer.begin({ ...head, ...(contentLength === undefined ? {} : { contentLength }) })
    stream = new AnswerStream(new AnswerTracker(lead, notice), served.writer.begin(head), served.abort)
    return stream
  }
  return {
    git: { ...served.git, preferences: { ...served.git.preferences, acceptEncoding: 'identity' } },
    writer: { ...served.writer, begin },
    end: () => (stream === undefined ? served.end() : stream.end()),
    abort: served.abort,
    endWith: (message) => stream?.endWith(message) === true,
  }
}

/** An answer on its way to the client, with words of ours between its packets. */
class AnswerStream extends Writable {
  readonly #tracker: AnswerTracker
  readonly #client: Writable
  readonly #onLastWords: () => void

  /** @param onLastWords called when the client has taken the last words, or has left without them */
  constructor(tracker: AnswerTracker, client: Writable, onLastWords: () => void) {
    super()
    this.#tracker = tracker
    this.#client = client
    this.#onLastWords = onLastWords
  }

  /** @returns false where nothing can be said */
  endWith(message: Buffer): boolean {
    const now = this.#tracker.endWith(message)
    if (now === undefined) return false
    this.#send(now, () => undefined)
    return true
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // What comes after the last words is dropped.
    if (this.#tracker.hasEnded) done()
    else this.#send(this.#tracker.push(piece), done)
  }

  override _final(done: () => void): void {
    if (!this.#client.writableEnded) this.#client.end()
    done()
  }

  /** Sends pieces as they are. @param done called when they may be changed; that a client has left is told elsewhere */
  #send(pieces: readonly Buffer[], done: () => void): void {
    pieces.forEach((piece, index) => {
      if (index < pieces.length - 1) this.#client.write(piece)
      else this.#client.write(piece, () => done())
    })
    // Of a response whose connection is reset after its end there is no `finish`.
    if (this.#tracker.hasEnded) this.#client.once('close', this.#onLastWords).end()
    if (pieces.length === 0) done()
  }
}
