import { Writable } from 'node:stream'
import type { AnswerHead, Backend, Exchange, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import { advertisementKey, cacheKey } from './cache-key.js'
import type { RequestCoalescer } from './request-coalescer.js'
import { readUploadPackRequest } from './read-upload-pack-request.js'
import { bypass, withoutCompression, serveShared } from './shared.js'
import type { ResponseCache } from './response-cache.js'
import type { ShownRefs } from './shown.js'

export type UpstreamCache = {
  readonly backend: Backend
  readonly cache: ResponseCache
  readonly shown: ShownRefs
  readonly coalescer: RequestCoalescer
  /** Whether the server responds the same to everybody. Otherwise responses are shared within one account only. */
  readonly isSameForAll: boolean
}

/** A request for a list of refs. In version 2 it has a body. */
type Listing = {
  /** `undefined`: the response may not be shared. */
  readonly key: string | undefined
  readonly body: Buffer
  readonly shape: 'advertisement' | 'refs'
}

/**
 * The cache over an upstream, whose repositories may change behind the gate at any time and which may decide by account. Lists of
 * refs always come from the upstream, by a request made after the client's. A pack comes from the cache if the upstream has just shown
 * this account every object that the client wants.
 */
export async function serveOverUpstream(
  upstream: UpstreamCache,
  request: GitRequest,
  exchange: Exchange,
): Promise<ServeOutcome> {
  const { backend, cache, shown, isSameForAll } = upstream
  const { repository } = request
  const account = exchange.requester === undefined ? '@anonymous' : exchange.requester.username
  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, exchange.gitProtocol)
    return await list(upstream, request, { key, body: Buffer.alloc(0), shape: 'advertisement' }, exchange, account)
  }

  const read = await readUploadPackRequest(exchange)
  if (read.kind === 'client-left') return { kind: 'broken', reason: 'the client left' }
  if (read.kind === 'unparsed') return await bypass(backend, cache, request, exchange, read.body)
  const { request: parsed, body } = read
  if (parsed.kind === 'refs')
    return await list(upstream, request, { key: parsed.key, body, shape: 'refs' }, exchange, account)
  const seen = shown.find(account, repository)
  const isShown = seen !== undefined && !parsed.dependsOn.allRefs && parsed.wants.every((want) => seen.ids.has(want))
  if (!isShown) return await bypass(backend, cache, request, exchange, body)
  const scope = isSameForAll ? '@all' : account
  const key = cacheKey('entry', [repository, scope, parsed.dependsOn.tags ? seen.tags : '', parsed.key])
  const shared = {
    key,
    request,
    body,
    requester: exchange.requester,
    // The account may have packs of these objects as long as the upstream shows them to it.
    keepIf: parsed.isStorable ? () => Promise.resolve(true) : undefined,
    shape: parsed.shape,
  }
  return await serveShared(backend, cache, shared, exchange)
}

/** Gets a list of refs from the upstream, for one request or for all of the account that came while the previous one ran. */
async function list(
  { backend, cache, shown, coalescer }: UpstreamCache,
  request: GitRequest,
  { key, body, shape }: Listing,
  exchange: Exchange,
  account: string,
): Promise<ServeOutcome> {
  const { repository } = request
  const watching: Backend = {
    ...backend,
    async serve(_, listed) {
      const watch = shown.watch(account, repository)
      const passing = watched(listed, watch.push)
      const outcome = await backend.serve(request, passing.exchange)
      await passing.end()
      if (outcome.kind === 'answered' && outcome.failure === undefined) watch.end()
      return outcome
    },
  }
  const alone = async (): Promise<ServeOutcome> => await bypass(watching, cache, request, exchange, body)
  if (key === undefined) return await alone()
  const coalesced = await coalescer.join(cacheKey('entry', [repository, account, key]), exchange.signal)
  if (coalesced === undefined) return { kind: 'broken', reason: 'the client left' }
  const { sharedKey, end } = coalesced
  try {
    if (sharedKey === undefined) return await alone()
    // It ends with the upstream's response: slow readers don't delay the next request.
    const ending: Backend = { ...watching, serve: async (...run) => await watching.serve(...run).finally(end) }
    const shared = { key: sharedKey, request, body, requester: exchange.requester, keepIf: undefined, shape }
    return await serveShared(ending, cache, shared, exchange)
  } finally {
    end()
  }
}

/** Reads a list as it passes, for which it must not be compressed. */
function watched(exchange: Exchange, push: (piece: Buffer) => void) {
  let passing: Writable | undefined
  const begin = (head?: AnswerHead): Writable => {
    const client = exchange.begin(head)
    if (head?.contentEncoding !== undefined) return client
    passing = new Writable({
      write(piece: Buffer, _encoding, done) {
        push(piece)
        client.write(piece, () => done())
      },
    })
    return passing
  }
  const end = async (): Promise<void> => {
    const { signal } = exchange
    if (passing === undefined || signal.aborted) return
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      passing?.end(() => resolve())
    })
  }
  return { exchange: { ...exchange, preferences: withoutCompression(exchange.preferences), begin }, end }
}
