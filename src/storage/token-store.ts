import type { RawBuilder, SqlBool } from 'kysely'
import { sql } from 'kysely'
import { DAY } from '../core/clock.js'
import { GitgateError, hasSystemCode } from '../core/errors.js'
import type { Spending, Spent } from '../domain/tokens/budget.js'
import type { NewToken, PersonalAccessToken } from '../domain/tokens/token.js'
import type { AddIp, TokenStore, TokenUse } from '../domain/tokens/store.js'
import type { Queries } from './database.js'
import { CONFIRMING_DAYS } from './audit-store.js'
import { moveSecurityEpoch } from './database.js'
import { inheritAddresses, recordAddress } from './token-addresses.js'
import { BRIEF_COLUMNS, briefTokenFrom, TOKEN_COLUMNS, tokenFrom } from './token-row.js'
import { searchTokens } from './token-search.js'
import { listUsedTokens } from './token-uses.js'
import { recordTokenRevoked, recordTokenCreated, recordTokenRotated } from './token-changes.js'
import type { AuditedChanges, Change } from './audited-changes.js'
import { withoutAuthority } from './audited-changes.js'

// Requests that were sent before the client knew of the rotation arrive within this time.
const REUSE_LEEWAY_MS = 10_000

/** Tokens in the database. */
export function tokenStore(queries: Queries, changes: AuditedChanges): TokenStore {
  const select = () => queries.selectFrom('personal_access_tokens').select(TOKEN_COLUMNS)

  return {
    // A new token needs no new epoch, because unknown digests are never remembered.
    add: (context, token) => changes.apply(context, (change) => insert(change, token)),

    async find(id) {
      const row = await select().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : tokenFrom(row)
    },

    async findByDigest(digest) {
      const row = await select().where('token_digest', '=', digest.reveal()).executeTakeFirst()
      return row === undefined ? undefined : tokenFrom(row)
    },

    async list({ userId }) {
      const query = userId === undefined ? select() : select().where('user_id', '=', userId)
      const rows = await query.orderBy('id').execute()
      return rows.map(tokenFrom)
    },

    async listBriefly() {
      const rows = await queries.selectFrom('personal_access_tokens').select(BRIEF_COLUMNS).orderBy('id').execute()
      return rows.map(briefTokenFrom)
    },

    async lineage(id) {
      const derived = queries.selectFrom('personal_access_tokens').select('id').where('parent_id', '=', id)
      return [id, ...(await derived.execute()).map((row) => row.id)]
    },

    search: (query, now, enforceExpiry) => searchTokens(queries, query, now, enforceExpiry),

    listUsed: (query, since, now, enforceExpiry) => listUsedTokens(queries, query, since, now, enforceExpiry),

    // A token can always be revoked: whoever lost their own right meanwhile may have meant to revoke a stolen one.
    revoke: (context, id, now, rule) =>
      changes.revoke(withoutAuthority(context), (change) => revokeActive(change, id, now, rule)),

    revokeDescendants: (context, id, now) =>
      changes.revoke(withoutAuthority(context), (change) =>
        revokeSuccessors(change, id, new Date(now.getTime() - REUSE_LEEWAY_MS), now),
      ),

    replace: (context, id, successor, endsAt) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const isOnlyOne = await revoke(transaction, id, endsAt, sql<SqlBool>`revoked_at IS NULL`)
        if (!isOnlyOne) return undefined
        // A push may have been charged since the caller read the old token.
        const token = await insert(change, { ...successor, spent: await readSpent(transaction, id) })
        await inheritAddresses(transaction, id, token.id)
        await recordTokenRotated(change, id, token, endsAt)
        return token
      }),

    spend: (id, amount) => changes.write((transaction) => spend(transaction, id, amount)),

    async prune(parentId, keptMs, now) {
      const days = await queries
        .selectFrom('personal_access_tokens')
        .select((eb) => eb.fn.max('created_at').as('last'))
        .where('parent_id', '=', parentId)
        .groupBy(sql`created_at / ${sql.lit(DAY)}`)
        .orderBy('last', 'desc')
        .limit(CONFIRMING_DAYS)
        .execute()
      const confirmed = days[CONFIRMING_DAYS - 1]?.last
      if (confirmed === undefined) return
      const before = Math.min(now.getTime(), confirmed) - keptMs
      await changes.write(async (transaction) => {
        await transaction
          .deleteFrom('personal_access_tokens')
          .where('parent_id', '=', parentId)
          .where('expires_at', '<', before)
          .execute()
      })
    },

    async countDerived(parentId, now) {
      const { count } = await queries
        .selectFrom('personal_access_tokens')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('parent_id', '=', parentId)
        .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now.getTime())]))
        .executeTakeFirstOrThrow()
      return count
    },

    recordUses: (uses, addIp) =>
      changes.write(async (transaction) => {
        for (const use of uses) {
          await recordUse(transaction, use, addIp)
          await recordAddress(transaction, use)
        }
      }),
  }
}

async function revokeActive(change: Change, id: number, now: Date, rule: string | undefined): Promise<boolean> {
  const isRevoked = await revoke(change.transaction, id, now, isNotRevoked(now))
  if (isRevoked) await recordTokenRevoked(change, id, now, rule)
  return isRevoked
}

/** Revokes what a token was rotated into, and so on. @param rotatedBy the latest instant of its own rotation */
async function revokeSuccessors(change: Change, id: number, rotatedBy: Date, now: Date): Promise<void> {
  const successors = await change.transaction
    .selectFrom('personal_access_tokens as successor')
    .innerJoin('personal_access_tokens as old', 'old.id', 'successor.previous_personal_access_token_id')
    .select('successor.id')
    .where('old.id', '=', id)
    .where('old.revoked_at', '<=', rotatedBy.getTime())
    .whereRef('successor.created_at', '>=', 'old.revoked_at')
    .execute()
  for (const successor of successors) {
    await revokeActive(change, successor.id, now, `token ${id}, which was rotated, was used again`)
    await revokeSuccessors(change, successor.id, now, now)
  }
}

async function insert(change: Change, token: NewToken): Promise<PersonalAccessToken> {
  const { transaction, actor } = change
  const values = {
    user_id: token.userId,
    name: token.name,
    description: token.description,
    scopes: JSON.stringify(token.scopes),
    repositories: JSON.stringify(token.restrictions.repositories),
    refs: JSON.stringify(token.restrictions.refs),
    within_limits: token.restrictions.within === null ? null : JSON.stringify(token.restrictions.within),
    max_pushes: token.budget.pushes,
    max_push_bytes: token.budget.bytes,
    pushes: token.spent.pushes,
    push_bytes: token.spent.bytes,
    parent_id: token.parentId,
    token_digest: token.digest.reveal(),
    created_at: token.createdAt.getTime(),
    expires_at: token.expiresAt?.getTime() ?? null,
    impersonation: token.impersonation ? (1 as const) : (0 as const),
    last_used_ips: '[]',
    previous_personal_access_token_id: token.previousId,
    issued_by: actor.impersonator ?? actor.username ?? actor.operator,
  }
  await requireLivingParent(transaction, token)
  try {
    const insertion = transaction.insertInto('personal_access_tokens').values(values).returning(TOKEN_COLUMNS)
    const issued = tokenFrom(await insertion.executeTakeFirstOrThrow())
    await recordTokenCreated(change, issued)
    return issued
  } catch (error) {
    if (!hasSystemCode(error, 'SQLITE_CONSTRAINT_FOREIGNKEY')) throw error
    throw new GitgateError('not-found', 'the account was deleted in the meantime', { cause: error })
  }
}

/** Nothing may be derived from a token that was revoked, or will be: the derived token would live on. */
async function requireLivingParent(queries: Queries, { parentId }: NewToken): Promise<void> {
  if (parentId === null) return
  const parent = await queries
    .selectFrom('personal_access_tokens')
    .select('revoked_at')
    .where('id', '=', parentId)
    .executeTakeFirst()
  if (parent?.revoked_at !== null) {
    throw new GitgateError('conflict', 'the token to derive from was revoked or rotated; derive from its successor')
  }
}

/** `revoked_at` may be in the future. */
function isNotRevoked(now: Date) {
  return sql<SqlBool>`(revoked_at IS NULL OR revoked_at > ${now.getTime()})`
}

/** @param which condition on the tokens to revoke */
async function revoke(transaction: Queries, id: number, at: Date, which: RawBuilder<SqlBool>): Promise<boolean> {
  const update = () => transaction.updateTable('personal_access_tokens').set({ revoked_at: at.getTime() }).where(which)
  const result = await update().where('id', '=', id).executeTakeFirst()
  const derived = await update().where('parent_id', '=', id).executeTakeFirst()
  // If nothing changed, remembered decisions stay right.
  if (result.numUpdatedRows + derived.numUpdatedRows > 0n) await moveSecurityEpoch(transaction)
  return result.numUpdatedRows === 1n
}

async function readSpent(transaction: Queries, id: number): Promise<Spent> {
  return await transaction
    .selectFrom('personal_access_tokens')
    .select(['pushes', 'push_bytes as bytes'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Takes from the budgets of a token and of its parent. A parent is never derived itself. */
async function spend(transaction: Queries, id: number, amount: Spent): Promise<Spending> {
  const rows = await transaction
    .selectFrom('personal_access_tokens')
    .select(['id', 'name', 'max_pushes', 'max_push_bytes', 'pushes', 'push_bytes'])
    .where((eb) =>
      eb.or([
        eb('id', '=', id),
        eb('id', 'in', eb.selectFrom('personal_access_tokens as child').select('parent_id').where('child.id', '=', id)),
      ]),
    )
    .execute()
  for (const { name, max_pushes: pushes, max_push_bytes: bytes, ...spent } of rows) {
    if (pushes !== null && spent.pushes + amount.pushes > pushes)
      return { kind: 'exhausted', token: name, part: 'pushes', limit: pushes }
    if (bytes !== null && spent.push_bytes + amount.bytes > bytes)
      return { kind: 'exhausted', token: name, part: 'bytes', limit: bytes }
  }
  await transaction
    .updateTable('personal_access_tokens')
    .set((eb) => ({ pushes: eb('pushes', '+', amount.pushes), push_bytes: eb('push_bytes', '+', amount.bytes) }))
    .where(
      'id',
      'in',
      rows.map((row) => row.id),
    )
    .execute()
  return { kind: 'spent' }
}

async function recordUse(transaction: Queries, use: TokenUse, addIp: AddIp): Promise<void> {
  const row = await transaction
    .selectFrom('personal_access_tokens')
    .select(['last_used_ips'])
    .where('id', '=', use.tokenId)
    .executeTakeFirst()
  if (row === undefined) return
  const at = use.at.getTime()
  await transaction
    .updateTable('personal_access_tokens')
    .set({
      last_used_at: sql<number>`CASE WHEN last_used_at IS NULL OR last_used_at <= ${at - DAY} THEN ${at} ELSE last_used_at END`,
      last_used_ips: JSON.stringify(addIp(JSON.parse(row.last_used_ips) as string[], use.ip)),
    })
    .where('id', '=', use.tokenId)
    .execute()
}
