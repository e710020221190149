import { hash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, rmdirSync, rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  QueueCounts,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
} from '../protocol/backend.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { WorkerInfo } from './messages.js'
import { readFrames, readValue, writeBytes, writeValue } from './frames.js'

/** The methods whose responses workers share. */
type SharedMethod = 'advertise' | 'uploadPack'

/** What one worker asks of another: an authorised request, whose body was read. */
type Question = {
  readonly method: SharedMethod
  readonly request: Omit<BackendRequest, 'body' | 'contentEncoding' | 'contentLength' | 'signal'>
  /** In base64. */
  readonly body: string
}

type Told = { readonly queue: QueueCounts } | { readonly head: ResponseHead } | { readonly outcome: ServeOutcome }

/**
 * A backend whose shared requests are answered by the worker that owns the repository's cache: so all workers share its cache
 * and its runs of git. If that one can't be reached, this worker's own backend answers.
 */
export function askingShardOwners(backend: Backend, info: WorkerInfo): Backend {
  const asking =
    (method: SharedMethod): BackendMethod =>
    async (request, response) => {
      const owner = ownerOf(request.repository, info.count)
      if (request.isShared !== true || owner === info.index) return await backend[method](request, response)
      const pieces: Buffer[] = []
      for await (const piece of request.body as AsyncIterable<Buffer>) pieces.push(piece)
      const body = Buffer.concat(pieces)
      const outcome = await ask(socketOf(info.folder, owner), method, request, body, response)
      return outcome ?? (await backend[method]({ ...request, body: Readable.from([body]) }, response))
    }
  return { ...backend, advertise: asking('advertise'), uploadPack: asking('uploadPack') }
}

/** @returns `undefined` if it can't be reached, or was lost before it responded */
async function ask(
  path: string,
  method: SharedMethod,
  request: BackendRequest,
  body: Buffer,
  response: ResponseWriter,
): Promise<ServeOutcome | undefined> {
  const { signal } = request
  const socket = connect(path)
  const leave = (): void => void socket.destroy()
  signal.addEventListener('abort', leave, { once: true })
  let output: Writable | undefined
  try {
    await once(socket, 'connect')
    const { repository, service, phase, gitProtocol, preferences, clientAddress, requester, slotRequest } = request
    const passed = { repository, service, phase, gitProtocol, preferences, clientAddress, requester, slotRequest }
    writeValue(socket, { method, request: passed, body: body.toString('base64') } satisfies Question)
    for await (const frame of readFrames(socket)) {
      if (frame.kind === 'bytes') {
        if (output?.write(frame.bytes) === false) await once(output, 'drain', { signal })
        continue
      }
      const told = frame.value as Told
      if ('outcome' in told) return told.outcome
      if ('queue' in told) {
        response.onQueued(told.queue)
        continue
      }
      output = response.begin(told.head)
    }
  } catch {
    // The outcome below says so.
  } finally {
    signal.removeEventListener('abort', leave)
    socket.destroy()
  }
  if (signal.aborted) return { kind: 'broken', reason: 'the client left' }
  return output === undefined ? undefined : { kind: 'broken', reason: 'the worker that answered has ended' }
}

/** Answers other workers. @returns what ends it, when those that ask have their answers */
export async function answerWorkers(backend: Backend, info: WorkerInfo): Promise<() => Promise<void>> {
  const path = socketOf(info.folder, info.index)
  // One that this worker's predecessor has left.
  rmSync(path, { force: true })
  const server: Server = createServer((socket) => {
    void answer(backend, socket)
      .catch(() => undefined)
      .finally(() => socket.destroy())
  })
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, 0o600)
  // When the first process was killed, nobody else clears up.
  process.once('exit', () => {
    rmSync(path, { force: true })
    removeEmpty(info.folder)
  })
  return () => new Promise((resolve) => server.close(() => resolve()))
}

async function answer(backend: Backend, socket: Socket): Promise<void> {
  const leaving = new AbortController()
  socket.on('error', () => leaving.abort())
  socket.on('close', () => leaving.abort())
  // Whoever asks keeps the connection open until it has its answer.
  socket.on('end', () => leaving.abort())
  const { method, request, body } = (await readValue(socket)) as Question
  const bytes = Buffer.from(body, 'base64')
  let output: Writable | undefined
  const outcome = await backend[method](
    {
      ...request,
      gitProtocol: request.gitProtocol,
      requester: request.requester,
      body: Readable.from(bytes.length === 0 ? [] : [bytes]),
      contentEncoding: undefined,
      contentLength: bytes.length,
      signal: leaving.signal,
    },
    {
      begin: (head = {}) => {
        writeValue(socket, { head } satisfies Told)
        output = new Writable({ write: (piece: Buffer, _encoding, done) => writeBytes(socket, piece, done) })
        output.on('error', () => leaving.abort())
        return output
      },
      onQueued: (queue) => writeValue(socket, { queue } satisfies Told),
      // The worker that asks watches over the client.
      progress: () => ({ bytes: 0, waitsForClient: false }),
    },
  )
  await finished(output)
  writeValue(socket, { outcome } satisfies Told)
  await new Promise<void>((resolve) => socket.end(resolve))
}

/** Waits until all that was written to it has been sent. */
async function finished(output: Writable | undefined): Promise<void> {
  if (output === undefined || output.destroyed) return
  await new Promise<void>((resolve) => {
    output.once('close', resolve)
    output.end()
  })
}

function ownerOf(repository: RepositoryPath, count: number): number {
  return parseInt(hash('sha256', repository).slice(0, 8), 16) % count
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Others are in it, or it is gone.
  }
}

function socketOf(folder: string, index: number): string {
  return join(folder, String(index))
}
