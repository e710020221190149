import type { Selectable } from 'kysely'
import type { UsedToken } from '../domain/tokens/query.js'
import type { RefRule, Restrictions } from '../domain/tokens/restriction.js'
import type { Scope } from '../domain/tokens/scope.js'
import type { BriefToken, PersonalAccessToken } from '../domain/tokens/token.js'
import type { Schema } from './database-schema.js'

/** A token's row, without its digest: nothing that reads tokens needs it. */
export type TokenRow = Omit<
  Selectable<Schema['personal_access_tokens']>,
  'token_digest' | 'expiring_noticed_at' | 'expired_noticed_at' | 'address_noticed_at'
>

/** What a token may and how long it lives, from its row. */
export function limitsFrom(
  row: Pick<
    TokenRow,
    | 'id'
    | 'user_id'
    | 'scopes'
    | 'repositories'
    | 'within_limits'
    | 'created_at'
    | 'expires_at'
    | 'revoked_at'
    | 'last_used_at'
  >,
): Omit<UsedToken, 'used'> {
  return {
    id: row.id,
    userId: row.user_id,
    scopes: JSON.parse(row.scopes) as Scope[],
    restrictions: {
      repositories: JSON.parse(row.repositories) as string[],
      within: row.within_limits === null ? null : (JSON.parse(row.within_limits) as Restrictions),
    },
    createdAt: new Date(row.created_at),
    expiresAt: instant(row.expires_at),
    revokedAt: instant(row.revoked_at),
    lastUsedAt: instant(row.last_used_at),
  }
}

/** A token from its row. */
export function tokenFrom(row: TokenRow): PersonalAccessToken {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    description: row.description,
    scopes: JSON.parse(row.scopes) as Scope[],
    restrictions: {
      repositories: JSON.parse(row.repositories) as string[],
      refs: JSON.parse(row.refs) as RefRule[],
      within: row.within_limits === null ? null : (JSON.parse(row.within_limits) as Restrictions),
    },
    budget: { pushes: row.max_pushes, bytes: row.max_push_bytes },
    spent: { pushes: row.pushes, bytes: row.push_bytes },
    parentId: row.parent_id,
    createdAt: new Date(row.created_at),
    expiresAt: instant(row.expires_at),
    revokedAt: instant(row.revoked_at),
    impersonation: row.impersonation === 1,
    lastUsedAt: instant(row.last_used_at),
    lastUsedIps: JSON.parse(row.last_used_ips) as string[],
    previousId: row.previous_personal_access_token_id,
    issuedBy: row.issued_by,
  }
}

/** The columns of a token in brief. */
export const BRIEF_COLUMNS = [
  'id',
  'user_id',
  'name',
  'parent_id',
  'expires_at',
  'revoked_at',
  'impersonation',
  'last_used_at',
] as const satisfies readonly (keyof TokenRow)[]

/** A token in brief from its row. */
export function briefTokenFrom(row: Pick<TokenRow, (typeof BRIEF_COLUMNS)[number]>): BriefToken {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    parentId: row.parent_id,
    expiresAt: instant(row.expires_at),
    revokedAt: instant(row.revoked_at),
    impersonation: row.impersonation === 1,
    lastUsedAt: instant(row.last_used_at),
  }
}

/** The columns of {@link TokenRow}. */
export const TOKEN_COLUMNS = [
  'id',
  'user_id',
  'name',
  'description',
  'scopes',
  'repositories',
  'refs',
  'within_limits',
  'max_pushes',
  'max_push_bytes',
  'pushes',
  'push_bytes',
  'parent_id',
  'created_at',
  'expires_at',
  'revoked_at',
  'impersonation',
  'last_used_at',
  'last_used_ips',
  'previous_personal_access_token_id',
  'issued_by',
] as const satisfies readonly (keyof TokenRow)[]

function instant(milliseconds: number | null): Date | null {
  return milliseconds === null ? null : new Date(milliseconds)
}
