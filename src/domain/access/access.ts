import type { Account } from '../accounts/account.js'
import type { Passwords } from '../accounts/password.js'
import type { Clock } from '../../core/clock.js'
import { mapInSlices } from '../../core/event-loop.js'
import { twoFactorDeadline } from '../policies/password-use.js'
import type { Settings } from '../policies/settings.js'
import type { Backend } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Secret } from '../../core/secret.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { PushCommand } from '../../protocol/push-head.js'
import { commandKind } from '../../protocol/push-head.js'
import { reaches } from '../tokens/restriction.js'
import type { Spent } from '../tokens/budget.js'
import { describeExcess } from '../tokens/budget.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { TokenStore } from '../tokens/store.js'
import type { Authentication, Credential, Identity, TokenVerdict } from './authenticate.js'
import { accountOf, authenticate, identifyToken, reidentify } from './authenticate.js'
import type { Bans } from './ban.js'
import type { Decision, DecidedPush, FollowRefs, RefDecision } from './decide.js'
import { abilityOf, decide, decideTarget, firstStricter, hasRefRules } from './decide.js'
import type { Grant, GrantStore, Role } from './grant.js'
import { effectiveRole } from './grant.js'
import { GuessLimits } from './guess-limits.js'
import { AccessibleRepositories } from './accessible-repositories.js'
import type { AccessMemory } from './memory.js'
import { TOKENS_PAGE } from './refusal.js'
import { DAY, utcDate } from '../../core/clock.js'

/** What {@link Access} depends on. */
export type AccessOptions = {
  readonly memory: AccessMemory
  readonly passwords: Passwords
  readonly bans: Bans
  readonly clock: Clock
  /** Whether accounts are admins of the group with their own name: on the embedded server only. */
  readonly ownsGroup: boolean
  /** Stores the tokens' budgets. */
  readonly budgets: Pick<TokenStore, 'spend'>
  /** Gets every token that was used. */
  readonly onTokenUse: (token: PersonalAccessToken, ip: string, now: Date) => void
}

/** What an account can access. */
export type AccountAccess = {
  readonly roleOn: (repository: RepositoryPath) => Role | 'none'
  /** The grants that apply to the account. */
  readonly grants: readonly Grant[]
  /** Whether it is also admin of the group with its own name. */
  readonly ownsGroup: boolean
}

/** Authenticates each request, and decides whether it is allowed. */
export class Access {
  readonly #options: AccessOptions & { readonly guesses: GuessLimits }
  #accessible:
    | {
        readonly epoch: number
        readonly paths: readonly RepositoryPath[]
        readonly repositories: AccessibleRepositories
      }
    | undefined

  constructor(options: AccessOptions) {
    // Bans limit guesses from one network.
    this.#options = { ...options, guesses: new GuessLimits({ limitsNetworks: false }) }
  }

  /**
   * Authenticates a request.
   *
   * @param ip the client's address
   * @returns the result, and the security epoch that it is valid for
   */
  async authenticate(credential: Credential, ip: string): Promise<Authentication & { readonly epoch: number }> {
    const { memory, clock, onTokenUse } = this.#options
    const now = clock()
    const snapshot = await memory.current()
    const result = await authenticate(credential, ip, snapshot, this.#options, now)
    if (result.kind === 'identified' && result.identity.kind === 'token') onTokenUse(result.identity.token, ip, now)
    return { ...result, epoch: snapshot.epoch }
  }

  /**
   * Authenticates a request to the API by its token.
   *
   * @param ip the client's address
   * @returns the result, and the security epoch that it is valid for
   */
  async identifyToken(secret: Secret, ip: string): Promise<TokenVerdict & { readonly epoch: number }> {
    const { memory, clock, onTokenUse } = this.#options
    const now = clock()
    const snapshot = await memory.current()
    const verdict = await identifyToken(secret, snapshot, now)
    if (verdict.kind === 'identified') onTokenUse(verdict.token, ip, now)
    return { ...verdict, epoch: snapshot.epoch }
  }

  /**
   * The repositories that each account can access. They are remembered until an access right or the list of repositories
   * changes.
   *
   * @param grants all are read, after the epoch
   */
  async accessibleRepositories(
    paths: readonly RepositoryPath[],
    grants: Pick<GrantStore, 'list'>,
  ): Promise<AccessibleRepositories> {
    const { epoch } = await this.#options.memory.current()
    if (this.#accessible?.epoch !== epoch || this.#accessible.paths !== paths) {
      const repositories = new AccessibleRepositories(paths, await grants.list())
      this.#accessible = { epoch, paths, repositories }
    }
    return this.#accessible.repositories
  }

  /** What an account can access. @param token whose limits apply, too */
  async accessOf(account: Account, token?: Pick<PersonalAccessToken, 'restrictions'>): Promise<AccountAccess> {
    const { memory, ownsGroup } = this.#options
    const grants = await (await memory.current()).grantsOf(account)
    return {
      roleOn: (repository) =>
        token === undefined || reaches(token.restrictions, repository)
          ? effectiveRole(account, grants, repository, ownsGroup).role
          : 'none',
      grants: grants.map(({ grant }) => grant),
      ownsGroup,
    }
  }

  /**
   * Decides whether a Git request is allowed.
   *
   * @param epoch the security epoch that the identity is valid for
   * @returns the decision, and whether the repository's name may be logged: it exists, or the request is allowed. Any other
   *   name might be a secret that was pasted into the URL
   */
  async decide(
    request: GitRequest,
    identity: Identity,
    backend: Pick<Backend, 'find' | 'creation'>,
    epoch: number,
  ): Promise<{ readonly decision: Decision; readonly isNameKnown: boolean }> {
    const { memory, ownsGroup } = this.#options
    const snapshot = await memory.at(epoch)
    const { repository } = request
    const found = await backend.find(repository)
    const isFirstPush = found === 'missing' && abilityOf(request) === 'write'
    const account = accountOf(identity)
    const circumstances = {
      effective: effectiveRole(account, await snapshot.grantsOf(account), repository, ownsGroup),
      // Access rights come first, so that a client without them learns nothing about the repository.
      repository: found === 'unavailable' ? ('unknown' as const) : found,
      obstacleToCreate: isFirstPush ? await backend.creation?.obstacle(repository) : undefined,
      pushToCreate: backend.creation !== undefined && (await snapshot.settings()).push_to_create,
    }
    const decided = decide(request, identity, circumstances)
    const decision: Decision =
      found === 'unavailable' && decided.kind !== 'refuse'
        ? { kind: 'refuse', rule: 'repositories unavailable', refusal: { kind: 'repositories-unavailable' } }
        : decided
    return { decision, isNameKnown: found === 'found' || decision.kind !== 'refuse' }
  }

  /**
   * Decides on each ref of a push that is allowed itself.
   *
   * @param followRefs resolves symbolic refs: both the ref and its target must be allowed
   * @returns one decision for each command, in the same order
   */
  async decideRefs(
    request: GitRequest,
    identity: Identity,
    commands: readonly PushCommand[],
    followRefs: FollowRefs | undefined,
  ): Promise<readonly RefDecision[]> {
    const { memory, ownsGroup } = this.#options
    const snapshot = await memory.current()
    const account = accountOf(identity)
    const { repository } = request
    const pusher = {
      token: identity.kind === 'token' ? identity.token : undefined,
      role: effectiveRole(account, await snapshot.grantsOf(account), repository, ownsGroup).role,
      protections: await snapshot.protectionsOf(repository),
    }
    const targets = hasRefRules(pusher) ? await followRefs?.() : undefined
    // The decisions are kept until the push ends, and most are equal.
    const shared = new Map<string, RefDecision>()
    return await mapInSlices(commands, (command, index) => {
      const { ref } = command
      const target = targets === undefined ? ref : targets[index]
      const decision = decideTarget(commandKind(command), ref, target, pusher)
      const key = 'reason' in decision ? `${decision.kind} ${decision.reason}` : decision.kind
      const known = shared.get(key)
      if (known === undefined) shared.set(key, decision)
      return known ?? decision
    })
  }

  /**
   * Whether a transfer that was allowed in an earlier security epoch still is. A token that has expired since doesn't matter:
   * a transfer that started in time may finish.
   *
   * @param creates whether the repository still has to be created
   * @param push the decisions on the refs, for a push
   * @returns the rule that now refuses it, or `undefined`
   */
  async reasonToRevoke(
    request: GitRequest,
    identity: Identity,
    creates: boolean,
    push?: DecidedPush,
  ): Promise<string | undefined> {
    const { memory, ownsGroup } = this.#options
    const snapshot = await memory.current()
    const today = await reidentify(identity, snapshot, this.#options.clock())
    if (typeof today === 'string') return today
    const account = accountOf(today)
    const decision = decide(request, today, {
      effective: effectiveRole(account, await snapshot.grantsOf(account), request.repository, ownsGroup),
      // Otherwise the repository existed when the transfer began.
      repository: creates ? 'missing' : 'unknown',
      obstacleToCreate: undefined,
      pushToCreate: creates && (await snapshot.settings()).push_to_create,
    })
    if (decision.kind === 'refuse') return decision.rule
    if (push === undefined) return undefined
    const latest = await this.decideRefs(request, today, push.commands, push.followRefs)
    return firstStricter(push.decisions, latest)
  }

  /** Whether pushes of this identity count towards a budget. */
  isCounted(identity: Identity): boolean {
    if (identity.kind !== 'token') return false
    const { budget, parentId } = identity.token
    return budget.pushes !== null || budget.bytes !== null || parentId !== null
  }

  /**
   * Charges a push to the budget of its token.
   *
   * @param amount to charge; negative amounts are given back
   * @returns why the budget doesn't allow it, or `undefined`
   */
  async spend(identity: Identity, amount: Spent): Promise<string | undefined> {
    if (identity.kind !== 'token') return undefined
    const spending = await this.#options.budgets.spend(identity.token.id, amount)
    return spending.kind === 'spent' ? undefined : describeExcess(spending)
  }

  /** The warning to send with a response, if the token expires soon. @param baseUrl of this gate */
  async expiryWarning(identity: Identity, baseUrl: string): Promise<string | undefined> {
    if (identity.kind !== 'token' || !(await this.settings()).enforce_pat_expiration) return undefined
    return expiryWarning(identity.token, this.#options.clock(), `${baseUrl}${TOKENS_PAGE}`)
  }

  /** The security epoch. Until it moves, decisions stay valid. */
  async epoch(): Promise<number> {
    return (await this.#options.memory.current()).epoch
  }

  /** The gate's time. */
  now(): Date {
    return this.#options.clock()
  }

  /** When an account must have turned two-factor authentication on; `undefined` if it needn't, or has. */
  async twoFactorDeadline(account: Account): Promise<Date | undefined> {
    const snapshot = await this.#options.memory.current()
    return twoFactorDeadline(account, await snapshot.settings(), await snapshot.twoFactorRequiredSince())
  }

  /** The current settings. */
  async settings(): Promise<Settings> {
    return (await this.#options.memory.current()).settings()
  }
}

const WARNING_PERIOD_MS = 7 * DAY

/**
 * The warning in a token's last seven days; `undefined` before.
 *
 * @param tokensPage the URL of the tokens page
 */
function expiryWarning(
  { name, expiresAt }: Pick<PersonalAccessToken, 'name' | 'expiresAt'>,
  now: Date,
  tokensPage: string,
): string | undefined {
  if (expiresAt === null) return undefined
  const left = expiresAt.getTime() - now.getTime()
  if (left <= 0 || left >= WARNING_PERIOD_MS) return undefined
  const when = left < DAY ? `at ${expiresAt.toISOString().slice(0, 16)}Z` : `on ${utcDate(expiresAt)}`
  return `Your token "${name}" expires ${when}. Renew it at ${tokensPage}`
}
