import { Writable } from 'node:stream'
import type { AnswerHead, Backend, Exchange, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { keyOf } from './key.js'
import { readAsked } from './read-asked.js'
import { bypass, plainly, serveShared, withBody } from './shared.js'
import type { Shelf } from './shelf.js'
import type { ShownRefs } from './shown.js'

/** What the cache over a server elsewhere is made of. */
export type UpstreamShield = {
  readonly backend: Backend
  readonly shelf: Shelf
  readonly shown: ShownRefs
  /** Whether it answers the same to everybody. Otherwise answers are shared within one account only. */
  readonly isSameForAll: boolean
}

/**
 * The cache over a server elsewhere, which may change behind the gate at any time and may decide by who asks. Lists of refs
 * always come from it. A pack comes from the cache if all that is wanted was shown to this account a moment ago.
 */
export async function serveOverUpstream(
  { backend, shelf, shown, isSameForAll }: UpstreamShield,
  request: GitRequest,
  exchange: Exchange,
): Promise<ServeOutcome> {
  const { repository } = request
  const account = exchange.requester === undefined ? '@anonymous' : exchange.requester.username
  const listing = async (listed: Exchange): Promise<ServeOutcome> => {
    const watch = shown.watch(account, repository)
    const passing = watched(listed, watch.push)
    const outcome = await bypass(backend, shelf, request, passing.exchange, undefined)
    await passing.end()
    if (outcome.kind === 'answered' && outcome.failure === undefined) watch.end()
    return outcome
  }
  if (request.phase === 'advertisement') return await listing(exchange)

  const read = await readAsked(exchange)
  if (read.kind === 'client-left') return { kind: 'broken', reason: 'the client left' }
  if (read.kind === 'unread') return await bypass(backend, shelf, request, exchange, read.body)
  const { asked, body } = read
  if (asked.kind === 'refs') return await listing(withBody(exchange, body))
  const seen = shown.find(account, repository)
  const isShown = seen !== undefined && !asked.dependsOn.allRefs && asked.wants.every((want) => seen.ids.has(want))
  if (!isShown) return await bypass(backend, shelf, request, exchange, body)
  const scope = isSameForAll ? '@all' : account
  const key = keyOf('entry', [repository, scope, asked.dependsOn.tags ? seen.tags : '', asked.key])
  const shared = {
    key,
    // Of the objects that it was shown the account may have packs for as long as it is shown them.
    isSame: () => Promise.resolve(true),
    request,
    body,
    requester: exchange.requester,
    mayKeep: !asked.isFleeting,
    shape: asked.shape,
  }
  return await serveShared(backend, shelf, shared, exchange)
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
  return { exchange: { ...exchange, preferences: plainly(exchange.preferences), begin }, end }
}
