import { readdirSync, readFileSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { plainAddress } from '../core/address-list.js'

/** How many connections there may be. */
export type ConnectionLimits = {
  /** Of one address. */
  readonly perAddress: number
  /** Addresses that this does not bound: proxies, through which everybody comes. */
  readonly isExempt: (address: string) => boolean
  /** Of all addresses. @default as many as leave {@link RESERVED_DESCRIPTORS} */
  readonly total?: number
}

// For git, files and `/-/health`.
const RESERVED_DESCRIPTORS = 64
const MIN_TOTAL = 16
// Connections beyond the total that are taken while all others are in use, so that `/-/health` is answered.
const OVERFLOW = 16

/**
 * The TCP connections of a server, by the client's address and port. A request over TLS knows only its TLS socket, which
 * can't be reset; the one beneath it can.
 */
export class Connections {
  readonly #open = new Map<string, Socket>()
  readonly #busy = new Map<string, () => boolean>()
  readonly #perAddress = new Map<string, number>()
  readonly #limits: ConnectionLimits
  readonly #onEnded: (address: string, why: string) => void
  #total: number | undefined
  #isClosing = false

  /** @param onEnded called for each connection that is ended because there are too many */
  constructor(server: Server, limits: ConnectionLimits, onEnded: (address: string, why: string) => void) {
    this.#limits = limits
    this.#onEnded = onEnded
    this.#total = limits.total
    server.on('connection', (socket: Socket) => this.#add(socket))
  }

  #add(socket: Socket): void {
    const name = nameOf(socket)
    const address = plainAddress(socket.remoteAddress ?? '')
    const count = (this.#perAddress.get(address) ?? 0) + 1
    this.#perAddress.set(address, count)
    this.#open.set(name, socket)
    socket.on('close', () => this.#remove(name, socket, address))
    this.#total ??= affordableConnections()
    if (count > this.#limits.perAddress && !this.#limits.isExempt(address)) this.#makeRoom(name, address, 0)
    else if (this.#open.size > this.#total) this.#makeRoom(name, undefined, this.#total + OVERFLOW)
  }

  #remove(name: string, socket: Socket, address: string): void {
    if (this.#open.get(name) !== socket) return
    this.#open.delete(name)
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
  }

  /**
   * Ends the oldest connection that is idle, or whose sender is unknown and has not sent all of a request; where there is none, the
   * newest.
   *
   * @param address of one address; `undefined`: of any
   * @param tolerated as many connections may be open before the newest ends
   */
  #makeRoom(newest: string, address: string | undefined, tolerated: number): void {
    const why = `too many connections ${address === undefined ? 'in all' : 'of one address'}`
    for (const [name, socket] of this.#open) {
      const own = plainAddress(socket.remoteAddress ?? '')
      if (name === newest || this.#busy.get(name)?.() === true || (address !== undefined && own !== address)) continue
      return this.#end(name, socket, own, why)
    }
    const socket = this.#open.get(newest)
    if (socket !== undefined && this.#open.size > tolerated)
      this.#end(newest, socket, plainAddress(socket.remoteAddress ?? ''), why)
  }

  #end(name: string, socket: Socket, address: string, why: string): void {
    this.#onEnded(address, why)
    // Now: its `close` comes only after further connections were taken.
    this.#remove(name, socket, address)
    socket.destroy()
  }

  /**
   * Notes that a request has begun on a connection.
   *
   * @param isInUse whether it is to be kept when there are too many connections
   * @returns what notes that it has ended
   */
  begin(socket: Socket, isInUse: () => boolean): () => void {
    const name = nameOf(socket)
    this.#busy.set(name, isInUse)
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

/** How many connections this process can hold beside what it has open, and what it will need. */
function affordableConnections(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const [, soft] = /^Max open files +(\d+)/m.exec(limits) ?? []
    if (soft === undefined) return Infinity
    return Math.max(MIN_TOTAL, Number(soft) - readdirSync('/proc/self/fd').length - RESERVED_DESCRIPTORS)
  } catch {
    // Only Linux has these files.
    return Infinity
  }
}
