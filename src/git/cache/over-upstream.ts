import { Writable } from 'node:stream'
import type { AnswerHead, Backend, Exchange, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import { advertisementKey } from './advertisement-key.js'
import type { Gatherings } from './coalescer.js'
import { keyOf } from './key.js'
import { readAsked } from './read-asked.js'
import { bypass, withoutCompression, serveShared } from './shared.js'
import type { ResponseCache } from './response-cache.js'
import type { ShownRefs } from './shown.js'

/** What the cache over a server elsewhere is made of. */
export type UpstreamCache = {
  readonly backend: Backend
  readonly cache: ResponseCache
  readonly shown: ShownRefs
  readonly gatherings: Gatherings
  /** Whether it answers the same to everybody. Otherwise answers are shared within one account only. */
  readonly isSameForAll: boolean
}

/** A list of refs that is asked for: in version 2 by a request with a body. */
type Listing = {
  /** `undefined` where nobody else may be given the answer. */
  readonly key: string | undefined
  readonly body: Buffer
  readonly shape: 'advertisement' | 'refs'
}

/**
 * The cache over a server elsewhere, which may change behind the gate at any time and may decide by who asks. Lists of refs
 * always come from it, asked for after each request came. A pack comes from the cache if all that is wanted was shown to this
 * account a moment ago.
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

  const read = await readAsked(exchange)
  if (read.kind === 'client-left') return { kind: 'broken', reason: 'the client left' }
  if (read.kind === 'unread') return await bypass(backend, cache, request, exchange, read.body)
  const { asked, body } = read
  if (asked.kind === 'refs')
    return await list(upstream, request, { key: asked.key, body, shape: 'refs' }, exchange, account)
  const seen = shown.find(account, repository)
  const isShown = seen !== undefined && !asked.dependsOn.allRefs && asked.wants.every((want) => seen.ids.has(want))
  if (!isShown) return await bypass(backend, cache, request, exchange, body)
  const scope = isSameForAll ? '@all' : account
  const key = keyOf('entry', [repository, scope, asked.dependsOn.tags ? seen.tags : '', asked.key])
  const shared = {
    key,
    request,
    body,
    requester: exchange.requester,
    // Of the objects that it was shown the account may have packs for as long as it is shown them.
    keepIf: asked.isFleeting ? undefined : () => Promise.resolve(true),
    shape: asked.shape,
  }
  return await serveShared(backend, cache, shared, exchange)
}

/** Has the server list refs: for one request, or for all that came while it listed them for others of the account. */
async function list(
  { backend, cache, shown, gatherings }: UpstreamCache,
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
  const part = await gatherings.join(keyOf('entry', [repository, account, key]), exchange.signal)
  if (part === undefined) return { kind: 'broken', reason: 'the client left' }
  const { sharedAs, end } = part
  try {
    if (sharedAs === undefined) return await alone()
    // It ends with the server's answer: those that read it slowly keep nobody from asking again.
    const ending: Backend = { ...watching, serve: async (...run) => await watching.serve(...run).finally(end) }
    const shared = { key: sharedAs, request, body, requester: exchange.requester, keepIf: undefined, shape }
    return await serveShared(ending, cache, shared, exchange)
  } finally {
    end()
  }
}

/** Lets a list be seen as it passes. Compressed, it could not be read. */
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
