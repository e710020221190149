import type { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Spending, Spent } from './budget.js'
import type { TokenQuery, UsedToken } from './query.js'
import type { BriefToken, NewToken, PersonalAccessToken } from './token.js'

/** Which tokens a list holds. */
export type TokenFilter = { readonly userId?: number }

/** That a token was used: what `last_used_at` and the last addresses are made from. */
export type TokenUse = { readonly tokenId: number; readonly at: Date; readonly ip: string }

/** A token's last addresses after one more was seen. */
export type AddIp = (ips: readonly string[], ip: string) => string[]

/** One page of a list, and how long the whole list is. */
export type TokenPage = { readonly tokens: readonly PersonalAccessToken[]; readonly total: number }

/** Where tokens are kept. */
export interface TokenStore {
  add(context: AuditContext, token: NewToken): Promise<PersonalAccessToken>
  find(id: number): Promise<PersonalAccessToken | undefined>
  findByDigest(digest: Secret): Promise<PersonalAccessToken | undefined>
  list(filter: TokenFilter): Promise<PersonalAccessToken[]>
  /** All of them, in brief: in a quarter of the time. */
  listBriefly(): Promise<BriefToken[]>
  /** The numbers of a token and of those that were derived from it. */
  lineage(id: number): Promise<number[]>
  /** A page of those that a query asks for. @param enforceExpiry the setting `enforce_pat_expiration` */
  search(query: TokenQuery, now: Date, enforceExpiry: boolean): Promise<TokenPage>
  /** Those that a query asks for, with how much they were used since an instant, newest first; none that were derived. */
  listUsed(
    query: Omit<TokenQuery, 'offset' | 'limit'>,
    since: Date,
    now: Date,
    enforceExpiry: boolean,
  ): Promise<UsedToken[]>
  /**
   * Revokes a token and all that were derived from it.
   *
   * @param rule why, where nobody asked for it
   * @returns false when it was revoked before
   */
  revoke(context: AuditContext, id: number, now: Date, rule?: string): Promise<boolean>
  /**
   * Revokes what a token was rotated into, and what that was, and so on. One that was to live on for a while beside its
   * successor is used late rather than stolen: there the line ends. So is one that was rotated a moment ago: a client that
   * rotates its token several times at once, or beside other requests, must not lose the one that it was given.
   */
  revokeDescendants(context: AuditContext, id: number, now: Date): Promise<void>
  /**
   * Revokes a token and adds its successor, both or neither.
   *
   * @param endsAt when the old one is revoked, perhaps later than now
   * @returns `undefined` when it was revoked or replaced before
   */
  replace(
    context: AuditContext,
    id: number,
    successor: NewToken,
    endsAt: Date,
  ): Promise<PersonalAccessToken | undefined>
  /**
   * Takes what a push needs from the budgets of a token and of the one that it was derived from: from all, or from none.
   *
   * @param amount what to take; negative gives back
   */
  spend(id: number, amount: Spent): Promise<Spending>
  /**
   * Deletes the tokens derived from one that have been over for some time. That counts from the third-newest day on which one was
   * derived: a clock that jumps forward must not delete tokens that are still good.
   */
  prune(parentId: number, keptMs: number, now: Date): Promise<void>
  /** How many of the tokens derived from one have not expired; revoked ones count. */
  countDerived(parentId: number, now: Date): Promise<number>
  /**
   * Moves `last_used_at`, where it is a day old, and the last addresses.
   *
   * @param addIp what the addresses are after one more was seen
   */
  recordUses(uses: readonly TokenUse[], addIp: AddIp): Promise<void>
}
