import { write, writeSync } from 'node:fs'

// Beyond this, lines for a reader that stalls are dropped, so that they don't fill the memory.
const MAX_WAITING_CHARACTERS = 8 * 1_048_576
const RETRY_DELAY_MS = 100
// Under load this combines some twenty lines into one write, which costs 30 µs with its thread (measured).
const BATCH_INTERVAL_MS = 10

/**
 * Writes log lines to a file descriptor off the event loop, one write at a time, each with the lines of ten milliseconds.
 * If the log can't be written (a full disk, a closed pipe), lines are lost, and a later line says how many. It never ends
 * the gate or makes it wait. (pino's own destination does both: it throws, and retries forever at the end.)
 */
export class LogSink {
  readonly #fd: number
  #waiting: string[] = []
  #length = 0
  #dropped = 0
  #isWriting = false

  constructor(fd: number) {
    this.#fd = fd
    process.on('exit', () => this.#writeLast())
  }

  write(line: string): void {
    if (this.#length + line.length > MAX_WAITING_CHARACTERS) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(line)
    this.#length += line.length
    if (this.#isWriting) return
    this.#isWriting = true
    setTimeout(() => this.#next(), BATCH_INTERVAL_MS)
  }

  #next(): void {
    this.#isWriting = this.#waiting.length > 0
    if (!this.#isWriting) return
    const lines = this.#take()
    this.#put(Buffer.from(lines.text), lines.count)
  }

  #put(bytes: Buffer, count: number): void {
    write(this.#fd, bytes, (error, written) => {
      if (error?.code === 'EAGAIN') {
        // The reader is slow; write the rest later.
        setTimeout(() => this.#put(bytes, count), RETRY_DELAY_MS).unref()
        return
      }
      if (error === null && written < bytes.length) {
        this.#put(bytes.subarray(written), count)
        return
      }
      if (error !== null) this.#dropped += count
      this.#next()
    })
  }

  #take(): { text: string; count: number } {
    const count = this.#waiting.length
    const warning =
      this.#dropped === 0
        ? ''
        : `${JSON.stringify({ level: 'warn', msg: 'log lines were lost', lost: this.#dropped })}\n`
    const text = warning + this.#waiting.join('')
    this.#waiting = []
    this.#length = 0
    this.#dropped = 0
    return { text, count }
  }

  #writeLast(): void {
    if (this.#waiting.length === 0) return
    try {
      writeSync(this.#fd, this.#take().text)
    } catch {
      // Nobody reads it.
    }
  }
}
