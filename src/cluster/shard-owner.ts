import { hash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, rmdirSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
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

/** The methods whose responses workers share. */
type SharedMethod = 'advertise' | 'uploadPack'

/** What one worker asks of another: an authorised request. Its body is that of the HTTP request. */
type Question = {
  readonly method: SharedMethod
  readonly request: Omit<BackendRequest, 'body' | 'contentEncoding' | 'contentLength' | 'signal'>
}

// Between workers, these carry JSON in base64: the question; queue lengths, while the request waits; the head of the backend's
// response, if it has begun; and in the trailer how it ended.
const QUESTION = 'gitgate-question'
const QUEUE = 'gitgate-queue'
const HEAD = 'gitgate-head'
const OUTCOME = 'gitgate-outcome'
// A question repeats headers of a client, which sends at most 32 KiB of them.
const MAX_HEADER_BYTES = 131_072

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
  socketPath: string,
  method: SharedMethod,
  request: BackendRequest,
  body: Buffer,
  response: ResponseWriter,
): Promise<ServeOutcome | undefined> {
  const { signal, repository, service, phase, gitProtocol, preferences, clientAddress, requester, slotRequest } =
    request
  const passed = { repository, service, phase, gitProtocol, preferences, clientAddress, requester, slotRequest }
  const headers = { [QUESTION]: encode({ method, request: passed } satisfies Question) }
  let output: Writable | undefined
  try {
    const call = httpRequest({ socketPath, method: 'POST', headers, agent: false, signal })
    // Once the response has begun, its own error says the same.
    call.on('error', () => undefined)
    call.on('information', ({ headers }) => response.onQueued(decode(headers[QUEUE]) as QueueCounts))
    call.end(body)
    const [answer] = (await once(call, 'response')) as [IncomingMessage]
    const head = answer.headers[HEAD]
    if (head !== undefined) output = response.begin(decode(head) as ResponseHead)
    if (output === undefined) await finished(answer.resume())
    else await pipeline(answer, output, { end: false })
    return decode(answer.trailers[OUTCOME]) as ServeOutcome
  } catch {
    // The outcome below says so.
  }
  if (signal.aborted) return { kind: 'broken', reason: 'the client left' }
  return output === undefined ? undefined : { kind: 'broken', reason: 'the worker that answered has exited' }
}

/** Answers other workers. @returns what ends it, once those that ask have their answers */
export async function answerWorkers(backend: Backend, info: WorkerInfo): Promise<() => Promise<void>> {
  const path = socketOf(info.folder, info.index)
  // A killed predecessor has left one.
  rmSync(path, { force: true })
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0 }, (request, response) => {
    answer(backend, request, response).catch(() => response.destroy())
  })
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, 0o600)
  // If the primary was killed, nobody else removes them.
  process.once('exit', () => {
    rmSync(path, { force: true })
    removeEmpty(info.folder)
  })
  return () => new Promise((resolve) => server.close(() => resolve()))
}

async function answer(backend: Backend, question: IncomingMessage, response: ServerResponse): Promise<void> {
  const asker = new AbortController()
  response.on('error', () => undefined)
  response.on('close', () => asker.abort())
  const begin = (head: Readonly<Record<string, string>>): void => {
    response.writeHead(200, { Trailer: OUTCOME, ...head })
    response.flushHeaders()
  }
  const { method, request } = decode(question.headers[QUESTION]) as Question
  const outcome = await backend[method](
    {
      ...request,
      // JSON leaves out what is undefined.
      gitProtocol: request.gitProtocol,
      requester: request.requester,
      body: question,
      contentEncoding: undefined,
      contentLength: Number(question.headers['content-length'] ?? 0),
      signal: asker.signal,
    },
    {
      begin: (head = {}) => {
        begin({ [HEAD]: encode(head) })
        return response
      },
      // Node sends no Early Hints without a link.
      onQueued: (queue) => response.writeEarlyHints({ link: '<>', [QUEUE]: encode(queue) }),
      // The worker that asks watches over the client.
      progress: () => ({ bytes: 0, waitsForClient: false }),
    },
  )
  if (!response.headersSent) begin({})
  response.addTrailers({ [OUTCOME]: encode(outcome) })
  response.end()
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}

/** @throws Error if the header is missing */
function decode(header: string | string[] | undefined): unknown {
  return JSON.parse(Buffer.from(String(header), 'base64').toString())
}

function ownerOf(repository: RepositoryPath, count: number): number {
  return parseInt(hash('sha256', repository).slice(0, 8), 16) % count
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Other workers use it, or it is gone.
  }
}

function socketOf(folder: string, index: number): string {
  return join(folder, String(index))
}
