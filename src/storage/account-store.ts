import type { Expression, Selectable, SqlBool } from 'kysely'
import { sql } from 'kysely'
import type { Account, AccountChange, AccountPage, AccountQuery, AccountStore } from '../domain/accounts/account.js'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { notifyAccountChange } from './notification-outbox.js'
import type { Queries } from './database.js'
import { moveSecurityEpoch } from './database.js'
import type { Schema } from './database-schema.js'
import type { AuditedChanges, Change, ChangeEvent } from './audited-changes.js'

/** Whether the account of a row has a second factor. */
export const HAS_TWO_FACTOR = sql<number>`EXISTS (SELECT 1 FROM two_factors WHERE account_id = accounts.id)`

/** A row with its joined columns. */
export type AccountRow = Selectable<Schema['accounts']> & { readonly two_factor_enabled: number }

/** An account from its row. */
export function accountFrom(row: AccountRow): Account {
  return {
    id: row.id,
    username: row.username,
    name: row.name,
    email: row.email,
    admin: row.admin === 1,
    state: row.state,
    passwordHash: row.password_hash === null ? null : new Secret(row.password_hash, 'password hash'),
    twoFactorEnabled: row.two_factor_enabled === 1,
    createdAt: new Date(row.created_at),
  }
}

/** Accounts in the database. */
export function accountStore(queries: Queries, changes: AuditedChanges): AccountStore {
  const select = () =>
    queries.selectFrom('accounts').selectAll('accounts').select(HAS_TWO_FACTOR.as('two_factor_enabled'))

  const one = async (query: ReturnType<typeof select>): Promise<Account | undefined> => {
    const row = await query.executeTakeFirst()
    return row === undefined ? undefined : accountFrom(row)
  }

  return {
    async add(context, account, now) {
      const row = {
        username: account.username,
        name: account.name,
        email: account.email,
        email_key: emailKeyOf(account.email),
        admin: account.admin ? (1 as const) : (0 as const),
        state: 'active' as const,
        password_hash: account.passwordHash?.reveal() ?? null,
        created_at: now.getTime(),
      }
      return await changes.apply(context, async (change) => {
        const { transaction } = change
        await requireUnique(transaction, account)
        const added = await transaction.insertInto('accounts').values(row).returningAll().executeTakeFirstOrThrow()
        await moveSecurityEpoch(transaction)
        const details = { name: account.name, email: account.email, admin: account.admin }
        await change.record({ action: 'user.added', target: `user:${account.username}`, details })
        return accountFrom({ ...added, two_factor_enabled: 0 })
      })
    },

    find: (id) => one(select().where('accounts.id', '=', id)),

    findByUsername: (username) => one(select().where(sql`lower(username)`, '=', username.toLowerCase())),

    findByLogin(login) {
      const folded = login.toLowerCase()
      return one(
        select().where((where) =>
          where.or([where(sql`lower(username)`, '=', folded), where('email_key', '=', folded)]),
        ),
      )
    },

    async isEmpty() {
      return (await queries.selectFrom('accounts').select('id').limit(1).executeTakeFirst()) === undefined
    },

    async list() {
      const rows = await select()
        .orderBy(sql`lower(username)`)
        .execute()
      return rows.map(accountFrom)
    },

    search: (query) => searchAccounts(queries, query),

    change: (context, id, values) => changes.apply(context, (change) => changeAccount(change, id, values)),

    async setState(context, id, state) {
      const account = await one(select().where('accounts.id', '=', id))
      if (account?.state === state) return
      if (state === 'blocked') await changes.revoke(context, (change) => update(change, id, { state }, 'user.blocked'))
      else await changes.apply(context, (change) => update(change, id, { state }, 'user.unblocked'))
    },

    setPasswordHash: (context, id, hash) =>
      changes.apply(context, async (change) => {
        await update(change, id, { password_hash: hash.reveal() }, 'user.password_changed')
        await notifyAccountChange(change, id, 'password-changed')
      }),

    remove: (context, account) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const tokens = await transaction
          .selectFrom('personal_access_tokens')
          .select(['id', 'name'])
          .where('user_id', '=', account.id)
          .execute()
        await transaction.deleteFrom('accounts').where('id', '=', account.id).execute()
        // A later account with the same name must not inherit them.
        const grants = await transaction
          .deleteFrom('grants')
          .where('subject', '=', account.username.toLowerCase())
          .returning(['role', 'pattern'])
          .execute()
        await moveSecurityEpoch(transaction)
        await change.record({
          action: 'user.deleted',
          target: `user:${account.username}`,
          details: { tokens, grants },
        })
      }),
  }
}

/** Changes how an account signs in, which ends its sessions. */
async function update(
  { transaction, record }: Change,
  id: number,
  values: Partial<{ state: Account['state']; password_hash: string }>,
  action: ChangeEvent['action'],
): Promise<void> {
  await transaction.updateTable('accounts').set(values).where('id', '=', id).execute()
  await endSessions(transaction, id)
  await moveSecurityEpoch(transaction)
  await record({ action, target: await userTarget(transaction, id) })
}

/** Ends all sessions of an account; part of each change to how it signs in. */
export async function endSessions(transaction: Queries, accountId: number): Promise<void> {
  await transaction.deleteFrom('sessions').where('account_id', '=', accountId).execute()
}

async function changeAccount(change: Change, id: number, given: AccountChange): Promise<void> {
  const { transaction } = change
  const row = await transaction.selectFrom('accounts').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return
  const was = { name: row.name, email: row.email, admin: row.admin === 1 }
  const now = { ...was, ...given }
  const changed = (['name', 'email', 'admin'] as const).filter((key) => now[key] !== was[key])
  if (changed.length === 0) return
  if (changed.includes('email')) await requireUnique(transaction, { id, email: now.email })
  // While the old address is still there to be notified.
  if (emailKeyOf(now.email) !== row.email_key && was.email !== null)
    await notifyAccountChange(change, id, 'email-changed')
  const values = {
    name: now.name,
    email: now.email,
    email_key: emailKeyOf(now.email),
    admin: now.admin ? (1 as const) : (0 as const),
  }
  await transaction.updateTable('accounts').set(values).where('id', '=', id).execute()
  if (changed.includes('admin')) await endSessions(transaction, id)
  await moveSecurityEpoch(transaction)
  const details = Object.fromEntries(changed.map((key) => [key, { from: was[key], to: now[key] }]))
  await change.record({ action: 'user.changed', target: `user:${row.username}`, details })
}

/** What an address is found by: addresses are unique in any case of their letters. */
export function emailKeyOf(email: string | null): string | null {
  return email?.toLowerCase() ?? null
}

/** @throws GitgateError `conflict` if another account has the username or the email address, in any case of their letters */
async function requireUnique(
  transaction: Queries,
  { id, username, email }: { readonly id?: number; readonly username?: string; readonly email: string | null },
): Promise<void> {
  const others = transaction
    .selectFrom('accounts')
    .select('id')
    .where('id', '!=', id ?? 0)
    .limit(1)
  if (username !== undefined) {
    const taken = await others.where(sql`lower(username)`, '=', username.toLowerCase()).executeTakeFirst()
    if (taken !== undefined)
      throw new GitgateError('conflict', `the username ${username} is taken`, { field: 'username' })
  }
  if (email !== null) {
    const taken = await others.where('email_key', '=', emailKeyOf(email)).executeTakeFirst()
    if (taken !== undefined)
      throw new GitgateError('conflict', `the email address ${email} is taken`, { field: 'email' })
  }
}

async function searchAccounts(queries: Queries, query: AccountQuery): Promise<AccountPage> {
  const { search, state, admin, twoFactorEnabled } = query
  const found = queries.selectFrom('accounts').where((eb) => {
    const wanted: (Expression<SqlBool> | undefined)[] = [
      search === undefined ? undefined : eb.or(['username', 'name', 'email'].map((column) => holds(column, search))),
      state && eb('state', '=', state),
      admin === undefined ? undefined : eb('admin', '=', admin ? 1 : 0),
      twoFactorEnabled === undefined ? undefined : eb(HAS_TWO_FACTOR, '=', twoFactorEnabled ? 1 : 0),
    ]
    return eb.and(wanted.filter((condition) => condition !== undefined))
  })
  const { total } = await found.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  const rows = await found
    .selectAll('accounts')
    .select(HAS_TWO_FACTOR.as('two_factor_enabled'))
    .orderBy(sql`lower(username)`)
    .offset(query.offset)
    .limit(query.limit)
    .execute()
  return { accounts: rows.map(accountFrom), total }
}

// instr and not LIKE: a search for 100% finds that.
function holds(column: string, text: string): Expression<SqlBool> {
  return sql<SqlBool>`instr(unicode_lower(coalesce(${sql.ref(column)}, '')), ${text.toLowerCase()}) > 0`
}

/** An account as the target of an audit event. */
export async function userTarget(queries: Queries, id: number): Promise<string> {
  const row = await queries.selectFrom('accounts').select('username').where('id', '=', id).executeTakeFirst()
  return `user:${row?.username ?? id}`
}
