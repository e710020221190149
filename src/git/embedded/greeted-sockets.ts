import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A connection that somebody who was told the word is going to make. */
export type Expected = {
  /** In base64; the connection begins with its bytes. */
  readonly word: string
  readonly socket: Promise<Socket>
  /** Waits for it no more. */
  readonly forget: () => void
}

const WORD = 16
const PREFIX = 'gitgate-'
// A socket's path has 107 bytes at most; six letters and the socket's own name come behind this.
const LONGEST_PREFIX = 90

/**
 * A Unix socket on which each connection says by a random word which one it is. Its folder is open to our user alone, and who does
 * not know a word that is waited for is shown the door.
 */
export class GreetedSockets {
  readonly #folder: string
  readonly #server: Server
  readonly #expected = new Map<string, (socket: Socket) => void>()

  private constructor(folder: string, server: Server) {
    this.#folder = folder
    this.#server = server
    server.on('connection', (socket) => this.#greet(socket))
  }

  /** Makes the folder and listens in it. */
  static async open(): Promise<GreetedSockets> {
    const wanted = join(tmpdir(), PREFIX)
    const folder = mkdtempSync(Buffer.byteLength(wanted) > LONGEST_PREFIX ? `/tmp/${PREFIX}` : wanted)
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(join(folder, 'git'), resolve)
    })
    return new GreetedSockets(folder, server)
  }

  /** Where to connect to. */
  get path(): string {
    return join(this.#folder, 'git')
  }

  expect(): Expected {
    const word = randomBytes(WORD).toString('base64')
    const socket = new Promise<Socket>((resolve) => this.#expected.set(word, resolve))
    return { word, socket, forget: () => void this.#expected.delete(word) }
  }

  /** Takes no more connections. Those that there are go on. */
  close(): void {
    this.#server.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #greet(socket: Socket): void {
    // What becomes of it shows by its end.
    socket.on('error', () => undefined)
    // One that says nothing is kept: by the clock, a machine that slept would take one that has spoken for it.
    const read = (): void => {
      const bytes = socket.read(WORD) as Buffer | null
      // It has ended, or there is less of it yet.
      if (bytes?.length !== WORD) return
      socket.off('readable', read)
      const word = bytes.toString('base64')
      const take = this.#expected.get(word)
      this.#expected.delete(word)
      if (take === undefined) socket.destroy()
      else take(socket)
    }
    socket.on('readable', read)
  }
}
