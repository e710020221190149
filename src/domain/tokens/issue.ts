import type { Account } from '../accounts/account.js'
import { checkDisplayName } from '../accounts/account.js'
import type { AuditContext } from '../audit/event.js'
import { utcDate } from '../../core/clock.js'
import { DAY } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import { hasUnprintable } from '../../core/printable.js'
import type { Secret } from '../../core/secret.js'
import type { WantedExpiry } from './expiry.js'
import type { Budget } from './budget.js'
import { UNLIMITED } from './budget.js'
import type { Restrictions } from './restriction.js'
import { UNRESTRICTED } from './restriction.js'
import type { Scope } from './scope.js'
import { digestSecret, mintSecret } from './token-secret.js'
import type { PersonalAccessToken } from './token.js'
import type { TokenStore } from './store.js'

/** The rules in force for new tokens; made from the settings by the policies. */
export type IssueRules = {
  /** New secrets begin with it. */
  readonly prefix: string
  /** The latest instant that a token may expire at; `null`: no limit. */
  readonly latestExpiry: Date | null
  /** Whether a token must expire at all. */
  readonly expiryRequired: boolean
  /** Personal access tokens are switched off on this instance. */
  readonly disabled: boolean
}

/** What a new token is to be. */
export type TokenDraft = {
  readonly name: string
  readonly description?: string | null
  readonly scopes: readonly Scope[]
  /** @default none */
  readonly restrictions?: Restrictions
  /** @default none */
  readonly budget?: Budget
  readonly expiry: WantedExpiry
  readonly impersonation?: boolean
}

/** A token just made. `secret` exists here and nowhere else. */
export type IssuedToken = { readonly token: PersonalAccessToken; readonly secret: Secret }

const MAX_DESCRIPTION = 255
const ROTATED_FOR = 7 * DAY
const MAX_GRACE = 90 * DAY

/**
 * Issues a personal access token.
 *
 * @param parentId the token that it is derived from
 * @throws GitgateError `invalid` for a blank name, a missing scope or an expiry that has passed; `forbidden` where a rule
 *   of the instance excludes it, with what it allows
 */
export async function issueToken(
  store: TokenStore,
  context: AuditContext,
  owner: Account,
  draft: TokenDraft,
  rules: IssueRules,
  now: Date,
  parentId: number | null = null,
): Promise<IssuedToken> {
  const secret = mintSecret(rules.prefix)
  const token = await store.add(context, {
    ...checkDraft(owner, draft, rules, now),
    userId: owner.id,
    createdAt: now,
    previousId: null,
    parentId,
    spent: { pushes: 0, bytes: 0 },
    digest: digestSecret(secret),
  })
  return { token, secret }
}

/**
 * Replaces a token by one of the same name, scopes, restrictions and owner with a new secret; the old one is revoked in the same
 * transaction, or lives on beside the new one for a while. Without a wish the new one lives a week, as GitLab's does, or for ever where the old one did.
 *
 * @param grace milliseconds for which the old secret still works, 90 days at most
 * @throws GitgateError as {@link issueToken}; `conflict` when the token was revoked before; `forbidden` for a derived one
 */
export async function rotateToken(
  store: TokenStore,
  context: AuditContext,
  owner: Account,
  old: PersonalAccessToken,
  expiry: WantedExpiry,
  rules: IssueRules,
  now: Date,
  grace = 0,
): Promise<IssuedToken> {
  if (old.parentId !== null) {
    throw new GitgateError(
      'forbidden',
      `token ${old.id} is derived and lives for one task; derive another from token ${old.parentId}`,
    )
  }
  if (grace > MAX_GRACE)
    throw new GitgateError('invalid', `an old secret can live on for ${MAX_GRACE / DAY} days at most`)
  const secret = mintSecret(rules.prefix)
  const draft = { ...old, expiry: expiry ?? defaultRotatedExpiry(old, rules, now) }
  const successor = {
    ...checkDraft(owner, draft, rules, now),
    userId: owner.id,
    createdAt: now,
    previousId: old.id,
    parentId: old.parentId,
    // A new secret is no new budget.
    spent: old.spent,
    digest: digestSecret(secret),
  }
  const token = await store.replace(context, old.id, successor, new Date(now.getTime() + grace))
  if (token === undefined)
    throw new GitgateError('conflict', `token ${old.id} is revoked already, or was rotated; create a new one`)
  return { token, secret }
}

function defaultRotatedExpiry(old: PersonalAccessToken, rules: IssueRules, now: Date): WantedExpiry {
  if (old.expiresAt === null && !rules.expiryRequired) return rules.latestExpiry === null ? 'never' : undefined
  const week = new Date(now.getTime() + ROTATED_FOR)
  return rules.latestExpiry !== null && rules.latestExpiry < week ? rules.latestExpiry : week
}

function checkDraft(owner: Account, draft: TokenDraft, rules: IssueRules, now: Date) {
  if (rules.disabled) {
    throw new GitgateError(
      'forbidden',
      'personal access tokens are switched off here (setting disable_personal_access_tokens)',
    )
  }
  checkTokenName(draft.name)
  const description = draft.description ?? null
  if (description !== null) checkDescription(description)
  checkScopes(draft.scopes, owner)
  const expiresAt = resolveExpiry(draft.expiry, rules, now)
  return {
    name: draft.name,
    description,
    scopes: draft.scopes,
    restrictions: draft.restrictions ?? UNRESTRICTED,
    budget: draft.budget ?? UNLIMITED,
    expiresAt,
    impersonation: draft.impersonation ?? false,
  }
}

/** Checks a token's name. @throws GitgateError `invalid` */
export function checkTokenName(name: string): void {
  checkDisplayName(name, "a token's name")
}

/** Checks what a token is said to be for. @throws GitgateError `invalid` */
export function checkDescription(description: string): void {
  if (description.length > MAX_DESCRIPTION || hasUnprintable(description))
    throw new GitgateError('invalid', `a description has ${MAX_DESCRIPTION} characters at most, without line breaks`, {
      field: 'description',
    })
}

/** Checks the scopes of a token of this owner. @throws GitgateError `invalid` for none, `forbidden` for sudo where it is not for them */
export function checkScopes(scopes: readonly Scope[], owner: Pick<Account, 'admin' | 'username'>): void {
  if (scopes.length === 0) throw new GitgateError('invalid', 'a token needs at least one scope', { field: 'scopes' })
  if (scopes.includes('sudo') && !owner.admin)
    throw new GitgateError('forbidden', `the scope sudo is for administrators, and ${owner.username} is none`, {
      field: 'scopes',
    })
}

/** So many days from now: a span is measured from now, a date from the midnight before. */
export function latestInstant(latestExpiry: Date, now: Date): Date {
  return new Date(latestExpiry.getTime() + (now.getTime() % DAY))
}

/**
 * The instant at which a token will be over; `null`: never.
 *
 * @throws GitgateError `invalid` where it has passed, `forbidden` where a rule excludes it, with what it allows
 */
export function resolveExpiry(wanted: WantedExpiry, rules: IssueRules, now: Date): Date | null {
  if (wanted === undefined && rules.latestExpiry !== null) return rules.latestExpiry
  if (wanted === undefined || wanted === 'never') {
    if (rules.latestExpiry === null && !rules.expiryRequired) return null
    const remedy = rules.latestExpiry === null ? '' : `, on ${utcDate(rules.latestExpiry)} at the latest`
    throw new GitgateError('forbidden', `a token must expire here; give it a date${remedy}`, { field: 'expires_at' })
  }
  if (wanted <= now) {
    throw new GitgateError(
      'invalid',
      `${utcDate(wanted)} has begun already (UTC), so the token would be over; give a later date`,
      { field: 'expires_at' },
    )
  }
  if (rules.latestExpiry !== null && wanted > latestInstant(rules.latestExpiry, now)) {
    throw new GitgateError(
      'forbidden',
      `a token must expire here by ${utcDate(rules.latestExpiry)} (setting max_personal_access_token_lifetime)`,
      { field: 'expires_at' },
    )
  }
  return wanted
}
