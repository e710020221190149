import { Writable } from 'node:stream'
import type {
  BackendMethod,
  BackendRequest,
  QueueCounts,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
  TransferProgress,
} from '../../protocol/backend.js'
import { advertisementKey, cacheKey } from './cache-key.js'
import type { RequestCoalescer } from './request-coalescer.js'
import { readUploadPackRequest } from './read-upload-pack-request.js'
import { bypass, withoutCompression, serveShared } from './shared.js'
import type { ResponseCache } from './response-cache.js'
import type { ShownRefs } from './shown.js'

export type UpstreamCache = {
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
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const { cache, shown, isSameForAll } = upstream
  const { repository, requester } = request
  const account = requester === undefined ? '@anonymous' : requester.username
  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, request.gitProtocol)
    return await list(
      upstream,
      method,
      request,
      response,
      { key, body: Buffer.alloc(0), shape: 'advertisement' },
      account,
    )
  }

  const read = await readUploadPackRequest(request)
  if (read.kind === 'client-left') return { kind: 'broken', reason: 'the client left' }
  if (read.kind === 'unparsed') return await bypass(method, cache, request, response, read.body)
  const { request: parsed, body } = read
  if (parsed.kind === 'refs')
    return await list(upstream, method, request, response, { key: parsed.key, body, shape: 'refs' }, account)
  const seen = shown.find(account, repository)
  const isShown = seen !== undefined && !parsed.dependsOn.allRefs && parsed.wants.every((want) => seen.ids.has(want))
  if (!isShown) return await bypass(method, cache, request, response, body)
  const scope = isSameForAll ? '@all' : account
  const key = cacheKey('entry', [repository, scope, parsed.dependsOn.tags ? seen.tags : '', parsed.key])
  const shared = {
    key,
    request,
    body,
    requester,
    // The account may have packs of these objects as long as the upstream shows them to it.
    keepIf: parsed.isStorable ? () => Promise.resolve(true) : undefined,
    shape: parsed.shape,
  }
  return await serveShared(method, cache, shared, response)
}

/** Gets a list of refs from the upstream, for one request or for all of the account that came while the previous one ran. */
async function list(
  { cache, shown, coalescer }: UpstreamCache,
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
  { key, body, shape }: Listing,
  account: string,
): Promise<ServeOutcome> {
  const { repository, requester } = request
  /** Reads the list as it passes, for which it must not be compressed. */
  const watching: BackendMethod = async (listing, client) => {
    const watch = shown.watch(account, repository)
    const reading = new ListReader(client, watch.push)
    const outcome = await method({ ...listing, preferences: withoutCompression(listing.preferences) }, reading)
    await reading.end(listing.signal)
    if (outcome.kind === 'answered' && outcome.failure === undefined) watch.end()
    return outcome
  }
  const alone = async (): Promise<ServeOutcome> => await bypass(watching, cache, request, response, body)
  if (key === undefined) return await alone()
  const coalesced = await coalescer.join(cacheKey('entry', [repository, account, key]), request.signal)
  if (coalesced === undefined) return { kind: 'broken', reason: 'the client left' }
  const { sharedKey, end } = coalesced
  try {
    if (sharedKey === undefined) return await alone()
    // It ends with the upstream's response: slow readers don't delay the next request.
    const ending: BackendMethod = async (...call) => await watching(...call).finally(end)
    const shared = { key: sharedKey, request, body, requester, keepIf: undefined, shape }
    return await serveShared(ending, cache, shared, response)
  } finally {
    end()
  }
}

/** Shows a response to a reader as it passes to the client. */
class ListReader implements ResponseWriter {
  readonly #client: ResponseWriter
  readonly #read: (piece: Buffer) => void
  #passing: Writable | undefined

  constructor(client: ResponseWriter, read: (piece: Buffer) => void) {
    this.#client = client
    this.#read = read
  }

  begin(head?: ResponseHead): Writable {
    const body = this.#client.begin(head)
    if (head?.contentEncoding !== undefined) return body
    this.#passing = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        this.#read(piece)
        body.write(piece, () => done())
      },
    })
    return this.#passing
  }

  onQueued(queue: QueueCounts): void {
    this.#client.onQueued(queue)
  }

  progress(): TransferProgress {
    return this.#client.progress()
  }

  /** Waits until the whole response has passed. */
  async end(signal: AbortSignal): Promise<void> {
    if (this.#passing === undefined || signal.aborted) return
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      this.#passing?.end(() => resolve())
    })
  }
}
