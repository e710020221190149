import type { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Spending, Spent } from './budget.js'
import type { TokenQuery, UsedToken } from './query.js'
import type { BriefToken, NewToken, PersonalAccessToken } from './token.js'

/** Filters for a list of tokens. */
export type TokenFilter = { readonly userId?: number }

/** A use of a token, for `last_used_at` and the last addresses. */
export type TokenUse = { readonly tokenId: number; readonly at: Date; readonly ip: string }

/** A token's last addresses with a new one added. */
export type AddIp = (ips: readonly string[], ip: string) => string[]

/** One page of a list, and the length of the list. */
export type TokenPage = { readonly tokens: readonly PersonalAccessToken[]; readonly total: number }

/** Stores tokens. */
export interface TokenStore {
  add(context: AuditContext, token: NewToken): Promise<PersonalAccessToken>
  find(id: number): Promise<PersonalAccessToken | undefined>
  findByDigest(digest: Secret): Promise<PersonalAccessToken | undefined>
  list(filter: TokenFilter): Promise<PersonalAccessToken[]>
  /** All tokens in brief, which takes a quarter of the time. */
  listBriefly(): Promise<BriefToken[]>
  /** The IDs of a token and of those derived from it. */
  lineage(id: number): Promise<number[]>
  /** A page of the tokens that match a query. @param enforceExpiry the setting `enforce_pat_expiration` */
  search(query: TokenQuery, now: Date, enforceExpiry: boolean): Promise<TokenPage>
  /** The tokens that match a query, except derived ones, with their use since a given time; newest first. */
  listUsed(
    query: Omit<TokenQuery, 'offset' | 'limit'>,
    since: Date,
    now: Date,
    enforceExpiry: boolean,
  ): Promise<UsedToken[]>
  /**
   * Revokes a token and those derived from it.
   *
   * @param rule the policy that revokes it, if no person does
   * @returns false if it was already revoked
   */
  revoke(context: AuditContext, id: number, now: Date, rule?: string): Promise<boolean>
  /**
   * Revokes a token's successor, its successor, and so on. It stops at a token with a grace period, which was probably used
   * late rather than stolen; and at one that was rotated a moment ago, so that a client that sends several rotations or other
   * requests at once doesn't lose its new token.
   */
  revokeDescendants(context: AuditContext, id: number, now: Date): Promise<void>
  /**
   * Revokes a token and adds its successor, both or neither.
   *
   * @param endsAt when the old one is revoked, which may be later
   * @returns `undefined` if it was already revoked or replaced
   */
  replace(
    context: AuditContext,
    id: number,
    successor: NewToken,
    endsAt: Date,
  ): Promise<PersonalAccessToken | undefined>
  /**
   * Charges a push to the budgets of a token and of the one it was derived from: to all, or to none.
   *
   * @param amount to charge; negative amounts are given back
   */
  spend(id: number, amount: Spent): Promise<Spending>
  /**
   * Deletes derived tokens that expired some time ago. The age counts from the third-newest day on which one was derived, so
   * that a clock that jumps forward doesn't delete valid tokens.
   */
  prune(parentId: number, keptMs: number, now: Date): Promise<void>
  /** How many tokens derived from this one haven't expired; revoked ones count. */
  countDerived(parentId: number, now: Date): Promise<number>
  /**
   * Updates `last_used_at`, if it is a day old, and the last addresses.
   *
   * @param addIp adds an address to the list
   */
  recordUses(uses: readonly TokenUse[], addIp: AddIp): Promise<void>
}
