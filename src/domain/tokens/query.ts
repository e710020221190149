import type { RepositoryLimits } from './restriction.js'
import type { PersonalAccessToken } from './token.js'

/** The orders of GitLab's list of tokens. */
export const TOKEN_SORTS = [
  'created_asc',
  'created_desc',
  'expires_asc',
  'expires_desc',
  'last_used_asc',
  'last_used_desc',
  'name_asc',
  'name_desc',
] as const

export type TokenSort = (typeof TOKEN_SORTS)[number]

/** A token, with how many repositories it has used. */
export type UsedToken = Pick<
  PersonalAccessToken,
  'id' | 'userId' | 'scopes' | 'createdAt' | 'expiresAt' | 'revokedAt' | 'lastUsedAt'
> & {
  readonly restrictions: RepositoryLimits
  /** How many different repositories it has used. */
  readonly used: { readonly read: number; readonly written: number }
}

/** Filters for a list of tokens; absent filters match all. Bounds are inclusive unless noted. */
export type TokenQuery = {
  readonly ids?: readonly number[]
  readonly userId?: number
  readonly impersonation?: boolean
  readonly state?: 'active' | 'inactive'
  readonly revoked?: boolean
  /** A part of the name, ignoring case. */
  readonly search?: string
  /** A part of the name, description, a scope, or a pattern that limits repositories or refs. */
  readonly text?: string
  readonly createdAfter?: Date
  readonly createdBefore?: Date
  readonly lastUsedAfter?: Date
  readonly lastUsedBefore?: Date
  readonly expiresAfter?: Date
  /** Exclusive, as in GitLab. */
  readonly expiresBefore?: Date
  readonly neverExpires?: boolean
  /** Created before this time, and not used since. */
  readonly unusedSince?: Date
  /** Whether it was derived from another token. */
  readonly derived?: boolean
  /** @default by ID, newest first */
  readonly sort?: TokenSort
  readonly offset: number
  readonly limit: number
}
