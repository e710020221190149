import type { RefTargets } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { CommandKind, PushCommand } from '../../protocol/push-head.js'
import { isBranch } from '../../protocol/pattern.js'
import type { RefVerb } from '../tokens/restriction.js'
import { limitsRefs, limitsRepositories, reaches, REF_VERBS, verbsFor } from '../tokens/restriction.js'
import { scopesAllow } from '../tokens/scope.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { Identity } from './authenticate.js'
import { accountOf } from './authenticate.js'
import type { EffectiveRole, Role } from './grant.js'
import { includes } from './grant.js'
import type { ProtectionLevel, RefProtections } from './protection.js'
import type { Ability, Refusal } from './refusal.js'

/** What a decision about a Git request depends on, beside the request and who makes it. */
export type Circumstances = {
  readonly effective: EffectiveRole
  /** `unknown` where only the backend can tell: treated as there. */
  readonly repository: 'found' | 'missing' | 'unknown'
  /** Why a missing repository can't be created by this push; `undefined`: it can. */
  readonly obstacleToCreate: string | undefined
  /** The setting `push_to_create`. */
  readonly pushToCreate: boolean
}

/** What was decided, and by which rule. */
export type Decision =
  | { readonly kind: 'serve'; readonly rule: string }
  /** The repository is not there and this push is to create it. */
  | { readonly kind: 'create'; readonly rule: string }
  | { readonly kind: 'refuse'; readonly refusal: Refusal; readonly rule: string }

/**
 * Decides about a Git request, in GitLab's order: scopes before anything about the repository, so that a token learns
 * nothing about repositories that it could not use; then whether the repository may be seen; then whether it may be
 * pushed to.
 */
export function decide(request: GitRequest, identity: Identity, circumstances: Circumstances): Decision {
  const { effective, repository } = circumstances
  const ability = abilityOf(request)
  const account = accountOf(identity)
  if (account === undefined) {
    const readable = ability === 'read' && includes(effective.role, 'read') && repository !== 'missing'
    return readable ? { kind: 'serve', rule: effective.rule } : refuse({ kind: 'credentials-missing' }, 'anonymous')
  }
  if (identity.kind === 'token' && !scopesAllow(identity.token.scopes, ability)) {
    const { name, scopes } = identity.token
    return refuse({ kind: 'scope-too-small', ability, token: name, scopes }, `scopes ${scopes.join(',')}`)
  }
  const outside = identity.kind === 'token' && !reaches(identity.token.restrictions, request.repository)
  const limited = identity.kind === 'token' && limitsRepositories(identity.token.restrictions)
  const named = { repository: request.repository, username: account.username }
  if (outside) return refuse({ kind: 'repository-not-found', ...named, limited }, 'outside the token')
  if (!includes(effective.role, 'read'))
    return refuse({ kind: 'repository-not-found', ...named, limited }, effective.rule)
  if (repository === 'missing') return decideMissing(ability, named, circumstances)
  if (ability === 'write' && !includes(effective.role, 'write')) {
    return refuse({ kind: 'push-not-granted', ...named }, effective.rule)
  }
  return { kind: 'serve', rule: effective.rule }
}

/** What a Git request does to a repository. */
export function abilityOf(request: GitRequest): Ability {
  return request.service === 'git-upload-pack' ? 'read' : 'write'
}

function decideMissing(
  ability: Ability,
  named: Pick<Refusal & { kind: 'repository-not-found' }, 'repository' | 'username'>,
  { effective, pushToCreate, obstacleToCreate }: Circumstances,
): Decision {
  const mayCreate = pushToCreate && includes(effective.role, 'admin')
  if (ability === 'read' || !mayCreate) {
    return refuse({ kind: 'repository-missing', repository: named.repository, mayCreate }, 'no such repository')
  }
  if (obstacleToCreate !== undefined) return refuse({ kind: 'creation-refused', reason: obstacleToCreate }, 'bad name')
  return { kind: 'create', rule: effective.rule }
}

function refuse(refusal: Refusal, rule: string): Decision {
  return { kind: 'refuse', refusal, rule }
}

/** The decision on one ref of a push. Git prints the reason after `! [remote rejected]`. */
export type RefDecision =
  | { readonly kind: 'allow' }
  /** Allowed only as a fast-forward; the reason is for updates that are none. */
  | { readonly kind: 'allow-fast-forward'; readonly reason: string }
  | { readonly kind: 'refuse'; readonly reason: string }

/** Resolves the symbolic refs of a push; runs Git at most once. */
export type FollowRefs = () => Promise<RefTargets>

/** A push with the decisions on its refs. */
export type DecidedPush = {
  readonly commands: readonly PushCommand[]
  readonly decisions: readonly RefDecision[]
  readonly followRefs: FollowRefs | undefined
}

/** What the decision on a ref depends on. */
export type Pusher = {
  /** `undefined` for a password. */
  readonly token: Pick<PersonalAccessToken, 'name' | 'restrictions'> | undefined
  readonly role: Role | 'none'
  /** The protections of the repository. */
  readonly protections: RefProtections
}

/**
 * Decides on one ref of a push: first by the token's rules, then by the protections, all of which must allow it. The
 * command doesn't say whether an update of a branch is forced. Updates of other refs count as forced, as Git's own client
 * treats tags.
 */
export function decideRef(kind: CommandKind, ref: string, pusher: Pusher): RefDecision {
  const reason = refusedVerb(kind === 'update' && !isBranch(ref) ? 'force' : kind, ref, pusher)
  if (reason !== undefined) return { kind: 'refuse', reason }
  const forceReason = kind === 'update' && isBranch(ref) ? refusedVerb('force', ref, pusher) : undefined
  return forceReason === undefined ? { kind: 'allow' } : { kind: 'allow-fast-forward', reason: forceReason }
}

/** Whether any rule on refs applies to the push. */
export function hasRefRules({ token, protections }: Pusher): boolean {
  return (token !== undefined && limitsRefs(token.restrictions)) || !protections.isEmpty
}

/**
 * Decides on a symbolic ref: both it and its target must be allowed.
 *
 * @param target the ref it points to; `undefined` if that isn't known
 */
export function decideTarget(kind: CommandKind, ref: string, target: string | undefined, pusher: Pusher): RefDecision {
  const own = decideRef(kind, ref, pusher)
  if (target === ref) return own
  if (target === undefined)
    return stricter(own, {
      kind: 'refuse',
      reason: "gitgate couldn't find out which ref this one points to; push fewer new refs at once",
    })
  const other = decideRef(kind, target, pusher)
  // Git checks fast-forwards by the name in the push, and only for branches.
  const isUnchecked = other.kind === 'allow-fast-forward' && !isBranch(ref)
  return stricter(own, isUnchecked ? { kind: 'refuse', reason: other.reason } : other)
}

const RANK: Readonly<Record<RefDecision['kind'], number>> = { refuse: 0, 'allow-fast-forward': 1, allow: 2 }

/** The stricter of two decisions. */
function stricter(one: RefDecision, other: RefDecision): RefDecision {
  return RANK[one.kind] <= RANK[other.kind] ? one : other
}

/** The reason of the first decision that is stricter than the earlier one on the same ref, or `undefined`. */
export function firstStricter(earlier: readonly RefDecision[], later: readonly RefDecision[]): string | undefined {
  for (const [index, decision] of later.entries()) {
    const before = earlier[index]
    if (decision.kind !== 'allow' && before !== undefined && RANK[decision.kind] < RANK[before.kind])
      return decision.reason
  }
  return undefined
}

/** Explains what can be done to a ref: for each verb `null`, or why not. Updates of other refs than branches count as forced. */
export function explainRef(ref: string, pusher: Pusher): Readonly<Record<RefVerb, string | null>> {
  const canPush = includes(pusher.role, 'write')
  const reason = (verb: RefVerb): string | null =>
    canPush ? (refusedVerb(verb, ref, pusher) ?? null) : "the account can't push to the repository"
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
  if (allowed.size === 0) return `${name} can only push to ${patternsOf(token.restrictions.refs)}`
  return `${name} can ${listed(REF_VERBS.filter((verb) => allowed.has(verb)))} this ref, but not ${worded(verb, ref)}`
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
    // Name the strictest level: reaching a lower one would not help.
    const level = (['nobody', 'admin'] as const).find((level) => inTheWay.includes(level)) ?? 'write'
    const who = level === 'nobody' ? 'nobody' : `only ${level === 'admin' ? 'admins' : 'writers'}`
    return `${shortened(protection.refs, 60)} is protected: ${who} can ${worded(verb, ref)} (rule ${protection.id})`
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
