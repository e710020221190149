import { hash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, rmdirSync, rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type { AnswerHead, Backend, Exchange, QueueCounts, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { WorkerInfo } from './messages.js'
import { readFrames, readValue, writeBytes, writeValue } from './frames.js'

/** What one worker asks of another: an exchange that was decided, and whose body was read. */
type Question = {
  readonly request: GitRequest
  readonly exchange: Pick<Exchange, 'gitProtocol' | 'preferences' | 'clientAddress' | 'requester' | 'slotRequest'>
  /** Whether it can be told that it waits. */
  readonly mayHear: boolean
  /** In base64. */
  readonly body: string
}

type Told = { readonly waits: QueueCounts } | { readonly head: AnswerHead } | { readonly outcome: ServeOutcome }

/**
 * A backend that has another worker answer what is shared, if that one keeps the repository: so all workers share its cache and
 * its runs of git. Where it can't be reached, this worker's own backend answers.
 */
export function askingShardOwners(backend: Backend, info: WorkerInfo): Backend {
  return {
    ...backend,
    async serve(request, exchange) {
      const owner = ownerOf(request.repository, info.count)
      if (exchange.isShared !== true || owner === info.index) return await backend.serve(request, exchange)
      const pieces: Buffer[] = []
      for await (const piece of exchange.body as AsyncIterable<Buffer>) pieces.push(piece)
      const body = Buffer.concat(pieces)
      const outcome = await ask(socketOf(info.folder, owner), request, exchange, body)
      return outcome ?? (await backend.serve(request, { ...exchange, body: Readable.from([body]) }))
    },
  }
}

/** @returns `undefined` where it can't be reached, or was lost before it said anything */
async function ask(
  path: string,
  request: GitRequest,
  exchange: Exchange,
  body: Buffer,
): Promise<ServeOutcome | undefined> {
  const socket = connect(path)
  const leave = (): void => void socket.destroy()
  exchange.signal.addEventListener('abort', leave, { once: true })
  let output: Writable | undefined
  try {
    await once(socket, 'connect')
    const { gitProtocol, preferences, clientAddress, requester, slotRequest } = exchange
    const told = { gitProtocol, preferences, clientAddress, requester, slotRequest }
    const mayHear = exchange.onWait !== undefined
    writeValue(socket, { request, exchange: told, mayHear, body: body.toString('base64') } satisfies Question)
    for await (const frame of readFrames(socket)) {
      if (frame.kind === 'bytes') {
        if (output?.write(frame.bytes) === false) await once(output, 'drain', { signal: exchange.signal })
        continue
      }
      const said = frame.value as Told
      if ('outcome' in said) return said.outcome
      if ('waits' in said) {
        exchange.onWait?.(said.waits)
        continue
      }
      output = exchange.begin(said.head)
    }
  } catch {
    // It is told below.
  } finally {
    exchange.signal.removeEventListener('abort', leave)
    socket.destroy()
  }
  if (exchange.signal.aborted) return { kind: 'broken', reason: 'the client left' }
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
  const { request, exchange, mayHear, body } = (await readValue(socket)) as Question
  const bytes = Buffer.from(body, 'base64')
  let output: Writable | undefined
  const outcome = await backend.serve(request, {
    ...exchange,
    gitProtocol: exchange.gitProtocol,
    requester: exchange.requester,
    body: Readable.from(bytes.length === 0 ? [] : [bytes]),
    contentEncoding: undefined,
    contentLength: bytes.length,
    ...(mayHear ? { onWait: (waits: QueueCounts) => writeValue(socket, { waits } satisfies Told) } : {}),
    signal: leaving.signal,
    begin: (head = {}) => {
      writeValue(socket, { head } satisfies Told)
      output = new Writable({ write: (piece: Buffer, _encoding, done) => writeBytes(socket, piece, done) })
      output.on('error', () => leaving.abort())
      return output
    },
  })
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
