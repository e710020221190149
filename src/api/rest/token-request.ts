import { Type } from 'typebox'
import { DAY } from '../../core/clock.js'
import type { Account } from '../../domain/accounts/account.js'
import { issueRules } from '../../domain/policies/settings.js'
import { parseBudget } from '../../domain/tokens/budget.js'
import type { WantedExpiry } from '../../domain/tokens/expiry.js'
import { parseExpiryDate } from '../../domain/tokens/expiry.js'
import type { IssuedToken } from '../../domain/tokens/issue.js'
import { issueToken } from '../../domain/tokens/issue.js'
import { parseRestrictions } from '../../domain/tokens/restriction.js'
import { ALL_SCOPES } from '../../domain/tokens/scope.js'
import type { Caller } from './caller.js'
import { requireSudoFor } from './caller.js'
import { badParameter } from './api-errors.js'
import type { ApiOptions } from './api-options.js'
import { Name, NullableDate } from './parameters.js'

const ScopeList = Type.Array(Type.Enum([...ALL_SCOPES]), { maxItems: 50, description: 'what it may do' })
const patterns = (description: string) =>
  Type.Optional(Type.Array(Type.String({ maxLength: 1_000 }), { maxItems: 100, description }))

// 13 digits, as in sizes of pushes.
const MAX_PUSH_BYTES = 9_999_999_999_999

/** A token's limits, which gitgate adds to GitLab's fields. */
export const Limits = {
  repositories: patterns('the repositories that it reaches, such as team/*'),
  refs: patterns('what it may push, such as agent/* or refs/tags/v*:create'),
  max_pushes: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'pushes in all its life' }),
  ),
  max_push_bytes: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_PUSH_BYTES, description: 'bytes in all its pushes' }),
  ),
}

/** The body of a request that creates a token. */
export const NewToken = Type.Object({
  name: Name,
  description: Type.Optional(Type.Union([Name, Type.Null()])),
  expires_at: Type.Optional(NullableDate),
  scopes: ScopeList,
  ...Limits,
})

/** Issues the token that a body requests. @throws ApiError 422 with what a rule allows; 403 for more scopes than the caller's */
export async function issue(
  { access, tokens }: ApiOptions,
  caller: Caller,
  owner: Account,
  body: Type.Static<typeof NewToken>,
  impersonation: boolean,
): Promise<IssuedToken> {
  const now = access.now()
  const draft = {
    name: body.name,
    description: body.description ?? null,
    scopes: ALL_SCOPES.filter((scope) => body.scopes.includes(scope)),
    expiry: wantedExpiry(body.expires_at),
    impersonation,
    ...limitsOf(body),
  }
  if (draft.scopes.length === 0) throw badParameter('scopes', 'is missing')
  requireSudoFor(draft.scopes, caller)
  return await issueToken(tokens, caller.auditContext, owner, draft, issueRules(await access.settings(), now), now)
}

/** Parses the limits in a body. @throws GitgateError `invalid` */
export function limitsOf(body: {
  repositories?: string[]
  refs?: string[]
  max_pushes?: number
  max_push_bytes?: number
}) {
  return {
    restrictions: parseRestrictions(body.repositories ?? [], body.refs ?? []),
    budget: parseBudget(body.max_pushes?.toString(), body.max_push_bytes?.toString()),
  }
}

/** The default expiry of a derived token: tomorrow, as in GitLab. */
export function tomorrow(now: Date): Date {
  return new Date((Math.floor(now.getTime() / DAY) + 1) * DAY)
}

/** Parses the expiry in a body. @throws ApiError `expires_at is invalid` */
export function wantedExpiry(text: string | null | undefined): WantedExpiry {
  if (text === undefined || text === null || text === '') return undefined
  try {
    return parseExpiryDate(text)
  } catch {
    throw badParameter('expires_at')
  }
}
