import type { IncomingMessage } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { hasSystemCode, messageOf } from '../../core/errors.js'
import { replaceUnprintable } from '../../core/printable.js'
import { readAhead } from '../../core/read-ahead.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { encodeRepositoryPath } from '../../protocol/repository-path.js'
import type { Forward, ForwardedRequest } from './forward.js'
import type { GateIdentity, ResponseKind } from './headers.js'
import { classifyResponse, requestHeaders } from './headers.js'

/** What the upstream backend needs. */
export type UpstreamOptions = {
  readonly forward: Forward
  readonly gate: GateIdentity
  /** Milliseconds from the end of the request to the head of the response; the body may take hours. */
  readonly headersTimeout: number
}

/** A Git server elsewhere, any that speaks smart HTTP. Only it knows whether a repository exists. */
export function upstream(options: UpstreamOptions): Backend {
  const suffixes = new SuffixMemory()

  const get = async (request: BackendRequest, suffix: Suffix, response: ResponseWriter): Promise<ServeOutcome> => {
    const outcome = await forwardOver('reused', request, suffix, response, options)
    if (outcome !== 'stale-connection') return outcome
    return orFailed(await forwardOver('fresh', request, suffix, response, options))
  }

  /** Which spelling exists: a body can't be sent twice, so this is found out before. */
  const suffixOf = async (request: BackendRequest): Promise<Suffix> => {
    const known = suffixes.get(request.repository)
    if (known !== undefined) return known
    const probe = { ...request, service: 'git-upload-pack', phase: 'advertisement', gitProtocol: 'version=2' } as const
    const { kind } = await get(probe, '.git', DISCARDING)
    return kind === 'missing' ? '' : '.git'
  }

  const post: BackendMethod = async (request, response) => {
    const suffix = await suffixOf(request)
    const outcome = orFailed(await forwardOver('fresh', request, suffix, response, options))
    suffixes.note(request.repository, suffix, outcome)
    return outcome
  }

  return {
    find: () => Promise.resolve('unknown'),

    names: 'upstream',

    checksFastForward: false,

    async advertise(request, response) {
      const { repository } = request
      const [likely, other] = suffixes.get(repository) === '' ? (['', '.git'] as const) : (['.git', ''] as const)
      const first = await get(request, likely, response)
      suffixes.note(repository, likely, first)
      if (first.kind !== 'missing') return first
      const second = await get(request, other, response)
      // Without a repository, servers answer one of the two with a page, or with a redirect to one.
      if (second.kind !== 'answered' && second.kind !== 'broken') return first
      suffixes.note(repository, other, second)
      return second
    },

    uploadPack: post,

    receivePack: post,
  }
}

function orFailed(outcome: ServeOutcome | 'stale-connection'): ServeOutcome {
  return outcome === 'stale-connection' ? { kind: 'failed', reason: 'connection closed', fault: 'backend' } : outcome
}

/** How the upstream spells a repository's folder: bare ones mostly end in `.git`, checked-out ones don't. */
type Suffix = '.git' | ''

const SUFFIX_LIFETIME_MS = 60_000
const MAX_SUFFIXES = 10_000

/** Remembers how the upstream spells its repositories. */
class SuffixMemory {
  readonly #known = new Map<RepositoryPath, { readonly suffix: Suffix; readonly until: number }>()

  get(repository: RepositoryPath): Suffix | undefined {
    const known = this.#known.get(repository)
    return known === undefined || known.until < performance.now() ? undefined : known.suffix
  }

  /** Learns from the outcome of a request. */
  note(repository: RepositoryPath, suffix: Suffix, { kind }: ServeOutcome): void {
    this.#known.delete(repository)
    if (kind === 'missing') return
    this.#known.set(repository, { suffix, until: performance.now() + SUFFIX_LIFETIME_MS })
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_SUFFIXES && oldest !== undefined) this.#known.delete(oldest)
  }
}

/** Takes the response to a request that is made for its status alone. */
const DISCARDING: ResponseWriter = {
  begin: () => new Writable({ write: (_piece, _encoding, done) => done() }),
  progress: () => ({ bytes: 0, waitsForClient: false }),
  onQueued: () => undefined,
}

/** @returns `stale-connection` if the upstream closed the idle connection just when the request was sent over it */
async function forwardOver(
  connection: ForwardedRequest['connection'],
  request: BackendRequest,
  suffix: Suffix,
  response: ResponseWriter,
  { forward, headersTimeout, gate }: UpstreamOptions,
): Promise<ServeOutcome | 'stale-connection'> {
  const isAdvertisement = request.phase === 'advertisement'
  const body = isAdvertisement ? Readable.from([]) : request.body
  const forwarded: ForwardedRequest = {
    method: isAdvertisement ? 'GET' : 'POST',
    path: pathOf(request, suffix),
    headers: requestHeaders(request, gate),
    body,
    connection,
  }
  return await new Promise((resolve) => {
    let upstreamResponse: IncomingMessage | undefined
    let breakOff: ((reason: string) => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const finish = (outcome: ServeOutcome | 'stale-connection'): void => {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', left)
      body.off('end', startTimer)
      resolve(outcome)
    }
    const fail = (reason: string, fault: 'backend' | 'silence'): void => finish({ kind: 'failed', reason, fault })

    const end = forward(forwarded, {
      onResponse(head) {
        upstreamResponse = head
        clearTimeout(timer)
        const classified = classifyResponse(head.statusCode ?? 0, head.headers, request)
        if (classified.kind === 'git') breakOff = passOn(head, request.signal, response, end, finish)
        else void outcomeOf(classified, head, end).then(finish)
      },
      onError(error, wasReused) {
        // The rest of the client's body is read and dropped, so that the client gets to the response.
        drain(body)
        if (upstreamResponse !== undefined) {
          // A response that ends with its connection would look complete to the client.
          if (!upstreamResponse.complete) breakOff?.(messageOf(error))
          return
        }
        const isStale = wasReused && isAdvertisement && hasSystemCode(error, 'ECONNRESET', 'EPIPE')
        if (isStale) finish('stale-connection')
        else fail(messageOf(error), 'backend')
      },
    })
    const left = (): void => {
      end()
      finish({ kind: 'broken', reason: 'the client left' })
    }
    const startTimer = (): void => {
      timer = setTimeout(() => {
        end()
        fail(`no response within ${headersTimeout} ms`, 'silence')
      }, headersTimeout)
    }
    if (request.signal.aborted) return left()
    request.signal.addEventListener('abort', left, { once: true })
    // While a push is being sent, no response is due. The idle timeout handles clients that stop sending.
    if (isAdvertisement || body.readableEnded) startTimer()
    else body.once('end', startTimer)
  })
}

/** What a response means that is none of Git's. Ends the request. */
async function outcomeOf(
  kind: Exclude<ResponseKind, { kind: 'git' }>,
  response: IncomingMessage,
  end: () => void,
): Promise<ServeOutcome> {
  const text = kind.kind === 'refusal' && kind.hasText ? await readRefusal(response, end) : ''
  end()
  switch (kind.kind) {
    case 'missing':
      return { kind: 'missing' }
    case 'refusal': {
      const { status, retryAfter } = kind
      const more = retryAfter === undefined ? {} : { retryAfter }
      const refusal = { kind: 'upstream-refused', status, text, ...more } as const
      return { kind: 'refused', reason: `the upstream responded with status ${status}`, refusal }
    }
    case 'moved': {
      const { location } = kind
      const refusal = { kind: 'upstream-moved', location } as const
      return { kind: 'refused', reason: `the upstream redirects to ${location}`, refusal }
    }
    case 'unusable':
      return { kind: 'failed', reason: `the upstream responded with ${kind.reason}`, fault: 'backend' }
  }
}

const MAX_REFUSAL_BYTES = 2_048
const MAX_REFUSAL_LINES = 10
const REFUSAL_TIMEOUT_MS = 2_000

/** Reads the beginning of a refusal's text. @returns lines without control characters; empty if it doesn't come in time */
async function readRefusal(response: IncomingMessage, end: () => void): Promise<string> {
  const timer = setTimeout(end, REFUSAL_TIMEOUT_MS)
  const start = await readAhead(response, MAX_REFUSAL_BYTES)
  clearTimeout(timer)
  const lines = (start?.toString('utf8', 0, MAX_REFUSAL_BYTES) ?? '').trim().split(/\r?\n/)
  return lines.slice(0, MAX_REFUSAL_LINES).map(replaceUnprintable).join('\n')
}

/** Streams a response to the client: complete, or visibly broken. @returns what breaks it off */
function passOn(
  upstreamResponse: IncomingMessage,
  signal: AbortSignal,
  response: ResponseWriter,
  end: () => void,
  finish: (outcome: ServeOutcome) => void,
): (reason: string) => void {
  const client = response.begin(headOf(upstreamResponse))
  const broken = (reason: string): void => {
    end()
    finish({ kind: 'broken', reason })
  }
  upstreamResponse.on('error', (error) => broken(messageOf(error)))
  upstreamResponse.on('aborted', () => broken('the upstream closed the connection early'))
  upstreamResponse.on('end', () => {
    if (upstreamResponse.complete) finish({ kind: 'answered' })
    else broken('the upstream closed the connection early')
  })
  signal.addEventListener('abort', () => broken('the client left'), { once: true })
  upstreamResponse.pipe(client, { end: false })
  return broken
}

function headOf({ headers }: IncomingMessage): ResponseHead {
  const length = Number(headers['content-length'])
  return {
    ...(headers['content-encoding'] === undefined ? {} : { contentEncoding: headers['content-encoding'] }),
    ...(Number.isSafeInteger(length) ? { contentLength: length } : {}),
    // A header that allows shared caches to store the response would publish a private repository.
    ...(/no-store|no-cache|private/.test(headers['cache-control'] ?? '')
      ? { cacheControl: headers['cache-control'] ?? '' }
      : {}),
  }
}

/** Built from the parsed request, so that what is authorised is what is forwarded. */
function pathOf({ repository, service, phase }: GitRequest, suffix: Suffix): string {
  const path = `/${encodeRepositoryPath(repository)}${suffix}`
  return phase === 'advertisement' ? `${path}/info/refs?service=${service}` : `${path}/${service}`
}

function drain(body: Readable): void {
  body.unpipe()
  body.resume()
}
