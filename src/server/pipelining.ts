import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

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
 * client leaves, so its work would go on.
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
