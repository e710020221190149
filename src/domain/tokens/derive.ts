import type { Account } from '../accounts/account.js'
import type { AuditContext } from '../audit/event.js'
import { DAY } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import type { Budget } from './budget.js'
import type { IssuedToken, IssueRules } from './issue.js'
import { issueToken } from './issue.js'
import type { Restrictions } from './restriction.js'
import { isRestricted } from './restriction.js'
import type { Scope } from './scope.js'
import { scopesAllow } from './scope.js'
import type { PersonalAccessToken } from './token.js'
import type { TokenStore } from './store.js'

/** The properties of a derived token, all within those of its parent. */
export type Derivation = {
  /** @default the parent's scopes for repositories */
  readonly scopes?: readonly Scope[]
  readonly expiry: Date
  readonly restrictions: Omit<Restrictions, 'within'>
  readonly budget: Budget
  readonly description: string | null
  /** @default the parent's */
  readonly name?: string
}

// Each git operation may leave an expired token behind. It is kept for a week, in case somebody asks whose it was.
const EXPIRED_RETENTION_MS = 7 * DAY
/** Unexpired tokens derived from one token. Revoked ones count, because their rows are searched, too. */
const MAX_DERIVED_TOKENS = 1_000

/**
 * Derives a token from another: with the same owner and name, at most the same rights and lifetime, and revoked together
 * with it. So a sandbox can get a token for a single task, without seeing the parent.
 *
 * @param parent active, and not derived itself
 * @throws GitgateError `forbidden` where it would be wider than its parent; as {@link issueToken}
 */
export async function deriveToken(
  store: TokenStore,
  context: AuditContext,
  owner: Account,
  parent: PersonalAccessToken,
  wish: Derivation,
  rules: IssueRules,
  now: Date,
): Promise<IssuedToken> {
  if (parent.parentId !== null) {
    throw new GitgateError(
      'forbidden',
      `token ${parent.id} is itself derived; derive from token ${parent.parentId} instead`,
    )
  }
  if (parent.userId !== owner.id) {
    throw new GitgateError('forbidden', "a token can't be derived with sudo, only by its owner")
  }
  const mayRead = scopesAllow(parent.scopes, 'read')
  const mayWrite = scopesAllow(parent.scopes, 'write')
  const possible = (['read_repository', 'write_repository'] as const).filter((scope) =>
    scope === 'read_repository' ? mayRead : mayWrite,
  )
  const wider = wish.scopes?.find((scope) => !possible.some((one) => one === scope))
  if (wider !== undefined || possible.length === 0) {
    const has = possible.length === 0 ? 'nothing for repositories' : possible.join(', ')
    throw new GitgateError('forbidden', `a token derived from ${parent.id} can have ${has}`)
  }
  const { expiresAt } = parent
  await store.prune(parent.id, EXPIRED_RETENTION_MS, now)
  if ((await store.countDerived(parent.id, now)) >= MAX_DERIVED_TOKENS)
    throw new GitgateError(
      'forbidden',
      `${MAX_DERIVED_TOKENS} tokens derived from token ${parent.id} have not expired yet; derive fewer or shorter-lived ones`,
    )
  const draft = {
    name: wish.name ?? parent.name,
    description: wish.description,
    scopes: wish.scopes ?? [mayWrite ? ('write_repository' as const) : ('read_repository' as const)],
    expiry: expiresAt !== null && expiresAt < wish.expiry ? expiresAt : wish.expiry,
    restrictions: { ...wish.restrictions, within: isRestricted(parent.restrictions) ? parent.restrictions : null },
    budget: wish.budget,
    impersonation: parent.impersonation,
  }
  return await issueToken(store, context, owner, draft, rules, now, parent.id)
}
