import { isBranch } from '../../protocol/ref-name.js'
import type { RefTargets } from '../../protocol/backend.js'
import type { CommandKind, PushCommand } from '../../protocol/push-head.js'
import type { RefVerb } from '../tokens/restriction.js'
import { limitsRefs, REF_VERBS, verbsFor } from '../tokens/restriction.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { Role } from './grant.js'
import { includes } from './grant.js'
import type { ProtectionLevel, RefProtections } from './protection.js'

/** What may become of one ref of a push. The reason is what git prints behind `! [remote rejected]`. */
export type RefDecision =
  | { readonly kind: 'allow' }
  /** Allowed as a fast-forward only; the reason is for when it is none. */
  | { readonly kind: 'allow-fast-forward'; readonly reason: string }
  | { readonly kind: 'refuse'; readonly reason: string }

/** Tells what the refs of a push stand for; git is asked at most once. */
export type FollowRefs = () => Promise<RefTargets>

/** What was decided about the refs of a push. */
export type DecidedPush = {
  readonly commands: readonly PushCommand[]
  readonly decisions: readonly RefDecision[]
  readonly followRefs: FollowRefs | undefined
}

/** Who pushes where, as far as refs depend on it. */
export type Pusher = {
  /** Absent where a password was given. */
  readonly token: Pick<PersonalAccessToken, 'name' | 'restrictions'> | undefined
  readonly role: Role | 'none'
  /** Those of the repository. */
  readonly protections: RefProtections
}

/**
 * Decides about one ref of a push: first by the token's own rules, then by the protections, all of which must allow it.
 * Whether an update of a branch is forced its line does not tell. Any update of another ref counts as forced, as git's own
 * client has it for tags.
 */
export function decideRef(kind: CommandKind, ref: string, pusher: Pusher): RefDecision {
  const reason = refusedVerb(kind === 'update' && !isBranch(ref) ? 'force' : kind, ref, pusher)
  if (reason !== undefined) return { kind: 'refuse', reason }
  const forceReason = kind === 'update' && isBranch(ref) ? refusedVerb('force', ref, pusher) : undefined
  return forceReason === undefined ? { kind: 'allow' } : { kind: 'allow-fast-forward', reason: forceReason }
}

/** Whether any rule about refs concerns a pusher. */
export function hasRefRules({ token, protections }: Pusher): boolean {
  return (token !== undefined && limitsRefs(token.restrictions)) || !protections.isEmpty
}

/**
 * Decides about a ref that stands for another: both must be allowed.
 *
 * @param target what it stands for; `undefined` where that isn't known
 */
export function decideTarget(kind: CommandKind, ref: string, target: string | undefined, pusher: Pusher): RefDecision {
  const own = decideRef(kind, ref, pusher)
  if (target === ref) return own
  if (target === undefined)
    return stricter(own, {
      kind: 'refuse',
      reason: "can't tell which ref this stands for; push fewer new refs at once",
    })
  const other = decideRef(kind, target, pusher)
  // Git checks fast-forwards by the name that is pushed, and of branches alone.
  const isUnchecked = other.kind === 'allow-fast-forward' && !isBranch(ref)
  return stricter(own, isUnchecked ? { kind: 'refuse', reason: other.reason } : other)
}

const RANK: Readonly<Record<RefDecision['kind'], number>> = { refuse: 0, 'allow-fast-forward': 1, allow: 2 }

/** The one of two decisions that allows less. */
function stricter(one: RefDecision, other: RefDecision): RefDecision {
  return RANK[one.kind] <= RANK[other.kind] ? one : other
}

/** Why one of the later decisions allows less than the earlier one about the same ref, or `undefined`. */
export function firstStricter(earlier: readonly RefDecision[], later: readonly RefDecision[]): string | undefined {
  for (const [index, decision] of later.entries()) {
    const before = earlier[index]
    if (decision.kind !== 'allow' && before !== undefined && RANK[decision.kind] < RANK[before.kind])
      return decision.reason
  }
  return undefined
}

/** What may be done to a ref: for each verb `null`, or why not. An update of what is no branch counts as forced. */
export function explainRef(ref: string, pusher: Pusher): Readonly<Record<RefVerb, string | null>> {
  const canPush = includes(pusher.role, 'write')
  const reason = (verb: RefVerb): string | null =>
    canPush ? (refusedVerb(verb, ref, pusher) ?? null) : 'the account may not push to the repository'
  const update = isBranch(ref) ? reason('update') : (reason('update') ?? reason('force'))
  return { create: reason('create'), update, force: reason('force'), delete: reason('delete') }
}

/** Why a verb is not allowed, or `undefined`. */
function refusedVerb(verb: RefVerb, ref: string, pusher: Pusher): string | undefined {
  return refusedByToken(verb, ref, pusher.token) ?? refusedByProtection(verb, ref, pusher)
}

function refusedByToken(verb: RefVerb, ref: string, token: Pusher['token']): string | undefined {
  if (token === undefined) return undefined
  const { within } = token.restrictions
  const outer = within === null ? undefined : refusedByToken(verb, ref, { ...token, restrictions: within })
  if (outer !== undefined || token.restrictions.refs.length === 0) return outer
  const allowed = verbsFor(token.restrictions, ref)
  if (allowed.has(verb)) return undefined
  const name = `token "${shortened(token.name, 40)}"`
  if (allowed.size === 0) return `${name} may only push ${patternsOf(token.restrictions.refs)}`
  return `${name} may ${listed(REF_VERBS.filter((verb) => allowed.has(verb)))} this, but not ${worded(verb, ref)}`
}

function refusedByProtection(verb: RefVerb, ref: string, { role, protections }: Pusher): string | undefined {
  for (const protection of protections(ref)) {
    const levels: readonly ProtectionLevel[] =
      verb === 'delete'
        ? [protection.delete]
        : verb === 'force'
          ? [protection.push, protection.force]
          : [protection.push]
    const inTheWay = levels.filter((level) => level === 'nobody' || !includes(role, level))
    if (inTheWay.length === 0) continue
    // The strictest of them is told: who gets past another would be stopped by it.
    const level = (['nobody', 'admin'] as const).find((level) => inTheWay.includes(level)) ?? 'write'
    const who = level === 'nobody' ? 'nobody' : `only ${level === 'admin' ? 'an admin' : 'a writer'}`
    return `${shortened(protection.refs, 60)} is protected: ${who} may ${worded(verb, ref)} (rule ${protection.id})`
  }
  return undefined
}

function worded(verb: RefVerb, ref: string): string {
  if (verb === 'force') return isBranch(ref) ? 'force-push' : 'move it (force)'
  return verb === 'delete' ? 'delete it' : verb === 'create' ? 'create it' : 'push to it'
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`
}

function patternsOf(rules: readonly { readonly pattern: string }[]): string {
  const patterns = [...new Set(rules.map(({ pattern }) => pattern))]
  const shown = patterns.slice(0, 3).map((pattern) => shortened(pattern, 40))
  const more = patterns.length - shown.length
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}

function shortened(text: string, length: number): string {
  const letters = Array.from(text)
  return letters.length <= length ? text : `${letters.slice(0, length - 1).join('')}…`
}
