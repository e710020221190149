import type { Server, Socket } from 'node:net'

/**
 * The TCP connections of a server, by the client's address and port. A request over TLS knows only its TLS socket, which
 * can't be reset; the one beneath it can.
 */
export class Connections {
  readonly #open = new Map<string, Socket>()

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket)
      this.#open.set(name, socket)
      socket.on('close', () => {
        if (this.#open.get(name) === socket) this.#open.delete(name)
      })
    })
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
