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

/** The rules for new tokens; the policies derive them from the settings. */
export type IssueRules = {
  /** Prefix of new secrets. */
  readonly prefix: string
  /** The latest allowed expiry; `null`: no limit. */
  readonly latestExpiry: Date | null
  /** Whether a token must expire at all. */
  readonly expiryRequired: boolean
  /** Whether personal access tokens are disabled on this instance. */
  readonly disabled: boolean
}

/** A new token, before it is checked. */
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

/** A new token. The secret exists nowhere else. */
export type IssuedToken = { readonly token: PersonalAccessToken; readonly secret: Secret }

const MAX_DESCRIPTION_CHARACTERS = 255
const ROTATED_LIFETIME_MS = 7 * DAY
const MAX_GRACE_MS = 90 * DAY

/**
 * Issues a personal access token.
 *
 * @param parentId the token that it is derived from
 * @throws GitgateError `invalid` for a blank name, no scope or an expiry in the past; `forbidden` if a rule of the
 *   instance excludes it, with what the rule allows
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
 * Replaces a token with one that has a new secret and the same name, scopes, restrictions and owner. The old token is
 * revoked in the same transaction, or keeps working for the grace period. By default the new token expires in a week, as
 * in GitLab, or never if the old one never did.
 *
 * @param grace milliseconds for which the old secret still works, 90 days at most
 * @throws GitgateError as {@link issueToken}; `conflict` if the token is already revoked; `forbidden` for a derived one
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
      `token ${old.id} is derived from token ${old.parentId} and can't be rotated; derive another one instead`,
    )
  }
  if (grace > MAX_GRACE_MS)
    throw new GitgateError('invalid', `the old token can keep working for at most ${MAX_GRACE_MS / DAY} days`)
  const secret = mintSecret(rules.prefix)
  const draft = { ...old, expiry: expiry ?? defaultRotatedExpiry(old, rules, now) }
  const successor = {
    ...checkDraft(owner, draft, rules, now),
    userId: owner.id,
    createdAt: now,
    previousId: old.id,
    parentId: old.parentId,
    // A new secret does not reset the budget.
    spent: old.spent,
    digest: digestSecret(secret),
  }
  const token = await store.replace(context, old.id, successor, new Date(now.getTime() + grace))
  if (token === undefined)
    throw new GitgateError('conflict', `token ${old.id} was already revoked or rotated; create a new one`)
  return { token, secret }
}

function defaultRotatedExpiry(old: PersonalAccessToken, rules: IssueRules, now: Date): WantedExpiry {
  if (old.expiresAt === null && !rules.expiryRequired) return rules.latestExpiry === null ? 'never' : undefined
  const week = new Date(now.getTime() + ROTATED_LIFETIME_MS)
  return rules.latestExpiry !== null && rules.latestExpiry < week ? rules.latestExpiry : week
}

function checkDraft(owner: Account, draft: TokenDraft, rules: IssueRules, now: Date) {
  if (rules.disabled) {
    throw new GitgateError(
      'forbidden',
      'personal access tokens are disabled on this server (setting disable_personal_access_tokens)',
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

/** Checks the description of a token. @throws GitgateError `invalid` */
export function checkDescription(description: string): void {
  if (description.length > MAX_DESCRIPTION_CHARACTERS || hasUnprintable(description))
    throw new GitgateError(
      'invalid',
      `a description can have at most ${MAX_DESCRIPTION_CHARACTERS} characters and no line breaks`,
      {
        field: 'description',
      },
    )
}

/** Checks the scopes of a new token. @throws GitgateError `invalid` for none, `forbidden` for sudo unless the owner is an administrator */
export function checkScopes(scopes: readonly Scope[], owner: Pick<Account, 'admin' | 'username'>): void {
  if (scopes.length === 0) throw new GitgateError('invalid', 'a token needs at least one scope', { field: 'scopes' })
  if (scopes.includes('sudo') && !owner.admin)
    throw new GitgateError(
      'forbidden',
      `only administrators can have the scope sudo, and ${owner.username} isn't one`,
      {
        field: 'scopes',
      },
    )
}

/** The latest expiry to the same time of day: a span counts from now, a date from midnight. */
export function latestInstant(latestExpiry: Date, now: Date): Date {
  return new Date(latestExpiry.getTime() + (now.getTime() % DAY))
}

/**
 * Resolves when a token expires; `null`: never.
 *
 * @throws GitgateError `invalid` if that is in the past, `forbidden` if a rule excludes it, with what the rule allows
 */
export function resolveExpiry(wanted: WantedExpiry, rules: IssueRules, now: Date): Date | null {
  if (wanted === undefined && rules.latestExpiry !== null) return rules.latestExpiry
  if (wanted === undefined || wanted === 'never') {
    if (rules.latestExpiry === null && !rules.expiryRequired) return null
    const remedy = rules.latestExpiry === null ? '' : `, ${utcDate(rules.latestExpiry)} at the latest`
    throw new GitgateError('forbidden', `tokens must expire on this server; set an expiry date${remedy}`, {
      field: 'expires_at',
    })
  }
  if (wanted <= now) {
    throw new GitgateError(
      'invalid',
      `${utcDate(wanted)} has already begun (UTC), so the token would be expired; choose a later date`,
      { field: 'expires_at' },
    )
  }
  if (rules.latestExpiry !== null && wanted > latestInstant(rules.latestExpiry, now)) {
    throw new GitgateError(
      'forbidden',
      `tokens must expire by ${utcDate(rules.latestExpiry)} on this server (setting max_personal_access_token_lifetime)`,
      { field: 'expires_at' },
    )
  }
  return wanted
}
