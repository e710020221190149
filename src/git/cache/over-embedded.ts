import { hash } from 'node:crypto'
import type { Backend, Exchange, Freshness, RefList, RepositoryState, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { advertisementKey } from './advertisement-key.js'
import type { Asked } from './asked.js'
import { keyOf } from './key.js'
import { protocolVersionOf } from './protocol-version.js'
import { readAsked } from './read-asked.js'
import type { SharedRequest } from './shared.js'
import { bypass, serveShared } from './shared.js'
import type { ResponseCache } from './response-cache.js'

type AskedFetch = Asked & { readonly kind: 'fetch' }
/** What is asked for, by whichever request. */
type AskedOnce =
  | AskedFetch
  /** Whether the answer tells of refs; if not, it outlives their changes. */
  | { readonly kind: 'advertisement' | 'refs'; readonly key: string; readonly tellsRefs: boolean }

/**
 * The cache over the embedded server, where files tell whether anything has changed. Answers are the same for all who may read a
 * repository, so that they share them.
 */
export async function serveOverEmbedded(
  backend: Backend & { readonly freshness: Freshness },
  cache: ResponseCache,
  request: GitRequest,
  exchange: Exchange,
): Promise<ServeOutcome> {
  const { freshness } = backend
  const { repository } = request
  const { gitProtocol } = exchange
  const share = async (body: Buffer, asked: AskedOnce): Promise<ServeOutcome> => {
    const state = await freshness.state(repository)
    if (state === undefined) return await bypass(backend, cache, request, exchange, body)
    const basisIn = async (now: RepositoryState): Promise<string | undefined> => {
      if (asked.kind === 'fetch') return await basisOf(asked, now, freshness, repository)
      return asked.tellsRefs ? now.fingerprint : keyOf('entry', [now.identity, now.configuration])
    }
    const basis = await basisIn(state)
    if (basis === undefined) return await bypass(backend, cache, request, exchange, body)
    const isSame = async (): Promise<boolean> => {
      const now = await freshness.state(repository)
      // A push to other refs, during a pack that takes its time, makes no difference to it.
      return now !== undefined && (await basisIn(now)) === basis
    }
    const shared: SharedRequest = {
      key: keyOf('entry', [basis, asked.key]),
      request,
      body,
      requester: undefined,
      keepIf: asked.kind === 'fetch' && asked.isFleeting ? undefined : isSame,
      shape: asked.kind === 'fetch' ? asked.shape : asked.kind,
    }
    return await serveShared(backend, cache, shared, exchange)
  }

  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, gitProtocol)
    return key === undefined
      ? await bypass(backend, cache, request, exchange, undefined)
      : // Version 2 advertises only what git and the configuration are capable of.
        await share(Buffer.alloc(0), { kind: 'advertisement', key, tellsRefs: protocolVersionOf(gitProtocol) !== 2 })
  }
  const read = await readAsked(exchange)
  switch (read.kind) {
    case 'client-left':
      return { kind: 'broken', reason: 'the client left' }
    case 'unread':
      return await bypass(backend, cache, request, exchange, read.body)
    case 'asked':
      return await share(read.body, read.asked.kind === 'fetch' ? read.asked : { ...read.asked, tellsRefs: true })
  }
}

/**
 * What the answer to a fetch depends on. Where it wants tips, only on the objects that they reach, so that it outlives pushes to
 * other refs; where it wants anything else, on what makes that reachable, and on whether it is there at all: what nothing
 * refers to any more can be pruned, by whoever must get rid of it.
 *
 * @returns `undefined` where that can't be told
 */
async function basisOf(
  { wants, dependsOn }: AskedFetch,
  state: RepositoryState,
  freshness: Freshness,
  repository: RepositoryPath,
): Promise<string | undefined> {
  const refs = await freshness.refs(repository, state)
  if (refs === undefined || !wants.every((want) => refs.tips.has(want))) {
    const objects = await freshness.objects(repository)
    return objects && keyOf('entry', [state.fingerprint, objects])
  }
  if (dependsOn.allRefs) return state.fingerprint
  return keyOf('entry', [state.identity, state.configuration, dependsOn.tags ? hashOfTags(refs) : ''])
}

function hashOfTags({ ids }: RefList): string {
  const tags = [...ids].filter(([name]) => name.startsWith('refs/tags/'))
  return hash('sha256', JSON.stringify(tags))
}
