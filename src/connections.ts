import type { Server, Socket } from 'node:net'

/**
 * The TCP connections of a server, by the client's address and port. A request over TLS knows only its TLS socket, which
 * can't be reset; the one beneath it can.
 */
export class Connections {
  readonly #open = new Map<string, Socket>()
  readonly #busy = new Set<string>()
  #isClosing = false

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket)
      this.#open.set(name, socket)
      socket.on('close', () => {
        if (this.#open.get(name) === socket) this.#open.delete(name)
      })
    })
  }

  /** Notes that a request has begun on a connection. @returns what notes that it has ended */
  begin(socket: Socket): () => void {
    const name = nameOf(socket)
    this.#busy.add(name)
    return () => {
      this.#busy.delete(name)
      if (this.#isClosing) this.#open.get(name)?.end()
    }
  }

  /** Ends the connections on which no request is running: now those without one, the others when theirs has ended. */
  closeIdle(): void {
    this.#isClosing = true
    for (const [name, socket] of this.#open) if (!this.#busy.has(name)) socket.destroy()
  }

  /** Ends all connections, those too that the HTTP server has given away (CONNECT) or whose client does not close its side. */
  closeAll(): void {
    for (const socket of this.#open.values()) socket.destroy()
  }

  /** Ends a connection with a reset. */
  reset(socket: Socket): void {
    const connection = this.#open.get(nameOf(socket))
    if (connection === undefined || connection.destroyed) socket.destroy()
    else connection.resetAndDestroy()
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? ''}`
}
