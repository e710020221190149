import { Readable, Writable } from 'node:stream'
import { readAhead, unread } from '../../core/read-ahead.js'
import type { RefDecision } from '../../domain/access/decide.js'
import type { PackHistory } from '../../protocol/pack-commits.js'
import { readCommits, traceHistory } from '../../protocol/pack-commits.js'
import { encodePktLine, FLUSH, PktLineReader } from '../../protocol/pkt-line.js'
import type { PushCommand } from '../../protocol/push-head.js'
import type { Push } from './push-body.js'

// Commits stand first in a pack: this much holds a hundred to several thousand of them.
const PACK_START_BYTES = 1_048_576
const MAX_EDGES = 256
const MAX_RESPONSE_BYTES = 1_024
const PACK_HEADER_BYTES = 12
// What one push may cost: requests to the upstream, and steps from commits to their parents. A push of 10,000 branches has
// 10,000 questions, and as many commits to walk for each.
const MAX_QUESTIONS = 500
const MAX_STEPS = 1_000_000
const TOO_MANY =
  'not checked, because this push updates too many branches that allow only fast-forwards; push fewer at once'

/**
 * Finds out which updates of branches are fast-forwards, for a backend that can't refuse the others itself. A chain of
 * hashes through the pack's own commits proves one; where it leaves the pack, the backend's upload-pack is asked. The
 * backend verifies the old commits when it changes the refs, so that nothing can come between.
 *
 * @param decisions one for each command
 * @returns the decisions without conditions, and the push with its pack as it was; `undefined` when the client has left
 */
export async function proveFastForwards(
  push: Push,
  decisions: readonly RefDecision[],
): Promise<{ readonly push: Push; readonly decisions: readonly RefDecision[] } | undefined> {
  const { head, authorized } = push
  if (decisions.every(({ kind }) => kind !== 'allow-fast-forward')) return { push, decisions }
  const held = await readAhead(push.pack, PACK_START_BYTES)
  if (held === undefined) return undefined
  const commits = await readCommits(held, head.commands[0]?.newId.length ?? 40)
  const { allow_unproven_fast_forwards: allowsUnproven } = await authorized.dependencies.access.settings()
  const settled = [...decisions]
  let [questions, steps] = [0, 0]
  const settle = async (
    { edges, commits: ancestors }: PackHistory,
    oldId: string,
    reason: string,
  ): Promise<RefDecision> => {
    if (ancestors.has(oldId)) return { kind: 'allow' }
    if (edges.length > 0 && (questions += 1) > MAX_QUESTIONS) return { kind: 'refuse', reason: TOO_MANY }
    if (await isReached(push, edges, oldId)) return { kind: 'allow' }
    if (commits.isComplete && edges.length <= MAX_EDGES) return { kind: 'refuse', reason }
    if (allowsUnproven) return { kind: 'allow' }
    return { kind: 'refuse', reason: `not proven to be a fast-forward: ${reason}` }
  }
  for (const [newId, updates] of updatesByNewId(head.commands, decisions)) {
    const history = steps > MAX_STEPS ? undefined : await traceHistory(commits, newId)
    steps += history?.steps ?? 0
    // One after the other: a push of many refs must not become as many requests at once.
    for (const { index, oldId, reason } of updates)
      settled[index] =
        history === undefined ? { kind: 'refuse', reason: TOO_MANY } : await settle(history, oldId, reason)
  }
  return { push: { ...push, pack: unread(held, push.pack) }, decisions: settled }
}

/** An update that is allowed only as a fast-forward. */
type GuardedUpdate = { readonly index: number; readonly oldId: string; readonly reason: string }

/** By the commit that they want, whose history is walked once. */
function updatesByNewId(
  commands: readonly PushCommand[],
  decisions: readonly RefDecision[],
): ReadonlyMap<string, readonly GuardedUpdate[]> {
  const updates = new Map<string, GuardedUpdate[]>()
  for (const [index, { newId, oldId }] of commands.entries()) {
    const decision = decisions[index]
    if (decision?.kind !== 'allow-fast-forward') continue
    const others = updates.get(newId) ?? []
    others.push({ index, oldId, reason: decision.reason })
    updates.set(newId, others)
  }
  return updates
}

/**
 * Whether the backend's own history leads from one of the edges to the old commit: asked as a client that has the edges and
 * wants the old commit, and so gets a pack of no objects. (That upload-pack is `ready` proves less: it is so as soon as a
 * commit reaches a parent of what the client has, as after every `commit --amend`.)
 */
async function isReached({ authorized }: Push, edges: readonly string[], oldId: string): Promise<boolean> {
  if (edges.length === 0) return false
  const format = oldId.length === 64 ? ' object-format=sha256' : ''
  const haves = edges.slice(0, MAX_EDGES).map((edge) => encodePktLine(`have ${edge}\n`))
  const bytes = Buffer.concat([encodePktLine(`want ${oldId}${format}\n`), FLUSH, ...haves, encodePktLine('done\n')])
  const enough = new AbortController()
  let collected = Buffer.alloc(0)
  const collector = new Writable({
    write(chunk: Buffer, _encoding, done) {
      collected = Buffer.concat([collected, chunk])
      // A pack with objects need not be read any further.
      if (collected.length > MAX_RESPONSE_BYTES) enough.abort()
      done()
    },
  })
  const { repository, preferences, clientAddress, requester, signal, slotRequest } = authorized.request
  await authorized.dependencies.backend.uploadPack(
    {
      repository,
      service: 'git-upload-pack',
      phase: 'rpc',
      body: Readable.from([bytes]),
      contentEncoding: undefined,
      contentLength: bytes.length,
      gitProtocol: undefined,
      preferences: preferences.userAgent === undefined ? {} : { userAgent: preferences.userAgent },
      clientAddress,
      requester,
      slotRequest: { ...slotRequest, isSmall: true },
      signal: AbortSignal.any([signal, enough.signal]),
    },
    { begin: () => collector, onQueued: () => undefined, progress: () => ({ bytes: 0, waitsForClient: false }) },
  )
  return isEmptyPack(collected)
}

/** Whether a response is one acknowledgement, and then a pack without objects. */
function isEmptyPack(response: Buffer): boolean {
  const reader = new PktLineReader()
  reader.add(response)
  const first = reader.next()
  if (typeof first === 'string' || !first.data.toString('latin1').startsWith('ACK ')) return false
  const { rest } = reader
  return rest.length >= PACK_HEADER_BYTES && rest.toString('latin1', 0, 4) === 'PACK' && rest.readUInt32BE(8) === 0
}
