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

/** A token in view of whether it is used as widely as it may be. */
export type UsedToken = Pick<
  PersonalAccessToken,
  'id' | 'userId' | 'scopes' | 'createdAt' | 'expiresAt' | 'revokedAt' | 'lastUsedAt'
> & {
  readonly restrictions: RepositoryLimits
  /** How many different repositories were used. */
  readonly used: { readonly read: number; readonly written: number }
}

/** Which tokens a page of the list holds; what is absent is not looked at. Bounds belong to the range unless said. */
export type TokenQuery = {
  readonly ids?: readonly number[]
  readonly userId?: number
  readonly impersonation?: boolean
  readonly state?: 'active' | 'inactive'
  readonly revoked?: boolean
  /** A part of the name, in any case of its letters. */
  readonly search?: string
  /** A part of the name, the description, a scope, or a pattern of the repositories or refs that it is limited to. */
  readonly text?: string
  readonly createdAfter?: Date
  readonly createdBefore?: Date
  readonly lastUsedAfter?: Date
  readonly lastUsedBefore?: Date
  readonly expiresAfter?: Date
  /** The bound itself does not belong to the range, as in GitLab. */
  readonly expiresBefore?: Date
  readonly neverExpires?: boolean
  /** Made before an instant, and not used since. */
  readonly unusedSince?: Date
  /** Whether it was derived from another. */
  readonly derived?: boolean
  /** @default by number, newest first */
  readonly sort?: TokenSort
  readonly offset: number
  readonly limit: number
}
