import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { plainAddress } from '../core/address-list.js'

/** Limits on the number of connections. */
export type ConnectionLimits = {
  /** For one address. */
  readonly perAddress: number
  /** Addresses without this limit: proxies, which forward everybody. */
  readonly isExempt: (address: string) => boolean
  /** For all addresses. @default leaves {@link RESERVED_DESCRIPTORS} of the process's descriptors */
  readonly total?: number
}

// For git, files and `/-/health`.
const RESERVED_DESCRIPTORS = 64
const MIN_TOTAL = 16
// Connections beyond the total that are accepted while all others are in use, so that `/-/health` is answered.
const MAX_OVERFLOW = 16

/**
 * The TCP connections of a server, by the client's address and port. A request over TLS has only the TLS socket, which can't be
 * reset; the TCP socket below it can.
 */
export class Connections {
  readonly #open = new Map<string, Socket>()
  readonly #busy = new Map<string, () => boolean>()
  readonly #perAddress = new Map<string, number>()
  readonly #limits: ConnectionLimits
  readonly #onEnded: (address: string, why: string) => void
  #total: number | undefined
  #isClosing = false

  /** @param onEnded called for each connection that is closed because there are too many */
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
    else if (this.#open.size > this.#total) this.#makeRoom(name, undefined, this.#total + MAX_OVERFLOW)
  }

  #remove(name: string, socket: Socket, address: string): void {
    if (this.#open.get(name) !== socket) return
    this.#open.delete(name)
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
  }

  /**
   * Closes the oldest connection that is idle or still sends an unauthenticated request; if there is none, the newest.
   *
   * @param address only connections of this address; `undefined`: of any
   * @param tolerated how many connections may be open before the newest is closed
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
    // Now, because its `close` event comes only after further connections were accepted.
    this.#remove(name, socket, address)
    socket.destroy()
  }

  /**
   * Records that a request has begun on a connection.
   *
   * @param isInUse whether to keep the connection when there are too many
   * @returns records that the request has ended
   */
  begin(socket: Socket, isInUse: () => boolean): () => void {
    const name = nameOf(socket)
    this.#busy.set(name, isInUse)
    return () => {
      this.#busy.delete(name)
      if (this.#isClosing) this.#open.get(name)?.end()
    }
  }

  /** Closes idle connections now, and the others when their request has ended. */
  closeIdle(): void {
    this.#isClosing = true
    for (const [name, socket] of this.#open) if (!this.#busy.has(name)) socket.destroy()
  }

  /** Closes all connections, including those that the HTTP server has handed over (CONNECT) or whose client keeps its side open. */
  closeAll(): void {
    for (const socket of this.#open.values()) socket.destroy()
  }

  /** Resets a connection. */
  reset(socket: Socket): void {
    const connection = this.#open.get(nameOf(socket))
    if (connection === undefined || connection.destroyed) socket.destroy()
    else connection.resetAndDestroy()
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? ''}`
}

/** How many connections this process can hold, given its open and reserved descriptors. */
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

// While a request is in flight, the gate reads on to notice a client that leaves, but only up to this much.
const READ_AHEAD_REQUESTS = 16
const READ_AHEAD_BYTES = 65_536
// Node parses what it has read at once, 64 KiB, before it can be stopped: 2,600 requests of 25 bytes, each of which takes 2.5 KB
// until it is answered (measured). With more than this many the connection is closed, so that it never holds a mebibyte.
const MAX_WAITING_REQUESTS = 256

/** The requests of one connection that aren't answered yet. */
type Pipeline = { inFlight: number; waiting: (() => void)[]; bytesRead: number; isPaused: boolean }

const pipelines = new WeakMap<Socket, Pipeline>()

/**
 * Waits until earlier requests on the connection are answered. A response that is queued behind another isn't notified when the
 * client leaves, so its work would continue.
 *
 * @returns false if the connection has closed
 */
export async function takeTurn(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const { socket } = request
  if (socket.destroyed) return false
  const pipeline = pipelineOf(socket)
  const isFirst = pipeline.inFlight === 0
  if (isFirst) pipeline.bytesRead = socket.bytesRead
  pipeline.inFlight += 1
  response.once('close', () => endTurn(socket, pipeline))
  if (isFirst) return true
  boundReadAhead(socket, pipeline)
  await new Promise<void>((resolve) => pipeline.waiting.push(resolve))
  // The rest of its body may not be read yet.
  if (!request.complete) resume(socket, pipeline)
  return socket.writable
}

function pipelineOf(socket: Socket): Pipeline {
  const known = pipelines.get(socket)
  if (known !== undefined) return known
  const pipeline: Pipeline = { inFlight: 0, waiting: [], bytesRead: 0, isPaused: false }
  pipelines.set(socket, pipeline)
  // One listener for all requests: removing one for each takes time quadratic in their number.
  socket.once('close', () => {
    for (const go of pipeline.waiting.splice(0)) go()
  })
  return pipeline
}

function endTurn(socket: Socket, pipeline: Pipeline): void {
  pipeline.inFlight -= 1
  pipeline.waiting.shift()?.()
  if (pipeline.inFlight === 0) resume(socket, pipeline)
}

function boundReadAhead(socket: Socket, pipeline: Pipeline): void {
  if (pipeline.inFlight > MAX_WAITING_REQUESTS) {
    socket.destroy()
    return
  }
  const isFar = socket.bytesRead - pipeline.bytesRead >= READ_AHEAD_BYTES || pipeline.inFlight > READ_AHEAD_REQUESTS
  if (!isFar || pipeline.isPaused) return
  pipeline.isPaused = true
  // Node resumes the socket in the tick after each message: pause it after that, and before the next read.
  process.nextTick(() =>
    process.nextTick(() => {
      if (pipeline.isPaused) socket.pause()
    }),
  )
}

function resume(socket: Socket, pipeline: Pipeline): void {
  if (!pipeline.isPaused) return
  pipeline.isPaused = false
  socket.resume()
}
