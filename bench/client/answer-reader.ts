const HEAD_END = '\r\n\r\n'

/** Finds the end of HTTP/1.1 answers in the bytes of a connection, and makes nothing of what is in them. */
export class AnswerReader {
  #pending = ''
  /** Bytes to come of the body, or of the chunk with the line end after it; `undefined` while a line is awaited. */
  #left: number | undefined
  #framing: 'head' | 'length' | 'chunks' | 'close' = 'head'
  #isLastChunk = false
  status = 0
  /** Whether the server closes the connection after this answer. */
  closes = false

  /** @returns whether the answer is whole with these bytes */
  push(bytes: Buffer): boolean {
    let at = 0
    while (at < bytes.length) {
      if (this.#framing === 'close') return false
      if (this.#left !== undefined) {
        const taken = Math.min(this.#left, bytes.length - at)
        at += taken
        this.#left -= taken
        if (this.#left > 0) return false
        this.#left = undefined
        if (this.#framing === 'length' || this.#isLastChunk) return this.#finish()
        continue
      }
      const ending = this.#framing === 'head' ? HEAD_END : '\r\n'
      // An end may be cut in two: what came before it is kept until it has come.
      const from = this.#pending.length
      const text = this.#pending + bytes.toString('latin1', at, Math.min(bytes.length, at + 16_384))
      const end = text.indexOf(ending, Math.max(0, from - ending.length))
      if (end === -1) {
        this.#pending = text
        return false
      }
      at += end + ending.length - from
      this.#pending = ''
      this.#left = this.#framing === 'head' ? this.#begin(text.slice(0, end)) : this.#beginChunk(text.slice(0, end))
      if (this.#left === 0) return this.#finish()
    }
    return false
  }

  /** @returns how much body comes, where the head says it */
  #begin(head: string): number | undefined {
    this.status = Number(head.slice(9, 12))
    this.closes = /\r\nconnection: *close/i.test(head)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#framing = 'chunks'
    else this.#framing = length === undefined ? 'close' : 'length'
    return this.#framing === 'length' ? Number(length) : undefined
  }

  /** @returns its size with the line end after it; after the last one come no trailers here */
  #beginChunk(line: string): number {
    const size = Number.parseInt(line, 16)
    this.#isLastChunk = size === 0
    return size + 2
  }

  #finish(): true {
    this.#framing = 'head'
    this.#left = undefined
    this.#isLastChunk = false
    return true
  }
}
