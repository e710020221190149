import type { Queries } from './database.js'
import { protectionValue } from './recorded-facts.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'
import { issueDetails } from './token-changes.js'
import { originOf } from './webhook-store.js'

// Rows read at a time. That takes a few milliseconds; in between, other requests run.
const PAGE_ROWS = 1_000

/** What a table holds now, in the terms of the audit log. */
export type CurrentFact = {
  readonly table: string
  readonly key: string
  readonly value: string
  /** When a token was or will be revoked; `null`: never. */
  readonly endsAt?: number | null
}

/** Tables whose rows have IDs, which gitgate assigns from 1. */
export const TABLES_WITH_ID = [
  'grants',
  'protected_refs',
  'accounts',
  'webhooks',
  'personal_access_tokens',
  'sessions',
] as const

/** Reads every row that audit events describe, such as settings, grants and tokens.
 * @param redact redacts texts as the audit log does
 */
export async function* currentFacts(queries: Queries, redact: (text: string) => string): AsyncGenerator<CurrentFact> {
  const fact = (table: string, key: string, value: string | (() => string)): CurrentFact => ({
    table,
    key: redact(key),
    value: redact(typeof value === 'string' ? value : orUnreadable(value)),
  })
  for (const { key, value } of await queries.selectFrom('settings').selectAll().orderBy('key').execute())
    yield fact('settings', `setting:${key}`, JSON.stringify(value))

  const grants = (after: number) => queries.selectFrom('grants').selectAll().where('id', '>', after)
  for await (const { subject, pattern, role } of paged((after) =>
    grants(after).orderBy('id').limit(PAGE_ROWS).execute(),
  ))
    yield fact('grants', `grant:${subject} ${pattern}`, JSON.stringify(role))

  const protections = (after: number) => queries.selectFrom('protected_refs').selectAll().where('id', '>', after)
  for await (const row of paged((after) => protections(after).orderBy('id').limit(PAGE_ROWS).execute()))
    yield fact(
      'protected_refs',
      `protection:${row.repository_pattern} ${row.ref_pattern}`,
      protectionValue({ push: row.push, force: row.force, delete: row.delete }),
    )

  const accounts = (after: number) =>
    queries
      .selectFrom('accounts')
      .leftJoin('two_factors', 'two_factors.account_id', 'accounts.id')
      .select(['id', 'username', 'name', 'email', 'admin', 'state', 'notices_off', 'two_factors.account_id as factor'])
      .where('id', '>', after)
  for await (const { username, ...row } of paged((after) => accounts(after).orderBy('id').limit(PAGE_ROWS).execute())) {
    const user = `user:${username}`
    // First, because a missing state shows that the account itself is missing.
    yield fact('accounts', `${user} state`, JSON.stringify(row.state))
    yield fact('accounts', `${user} admin`, JSON.stringify(row.admin === 1))
    yield fact('accounts', `${user} name`, JSON.stringify(row.name))
    yield fact('accounts', `${user} email`, JSON.stringify(row.email))
    yield fact('accounts', `${user} notices_off`, () => JSON.stringify(JSON.parse(row.notices_off)))
    yield fact('two_factors', `${user} two_factor`, JSON.stringify(row.factor !== null))
  }

  const webhooks = (after: number) =>
    queries
      .selectFrom('webhooks')
      .leftJoin('accounts', 'accounts.id', 'webhooks.account_id')
      .select(['webhooks.id', 'url', 'username'])
      .where('webhooks.id', '>', after)
  for await (const row of paged((after) => webhooks(after).orderBy('webhooks.id').limit(PAGE_ROWS).execute()))
    yield fact('webhooks', `webhook:${row.id}`, () => webhookValue(originOf(row.url), row.username))

  const tokens = (after: number) =>
    queries
      .selectFrom('personal_access_tokens')
      .innerJoin('accounts as owner', 'owner.id', 'user_id')
      .select(TOKEN_COLUMNS.map((column) => `personal_access_tokens.${column}` as const))
      .select('owner.username')
      .where('personal_access_tokens.id', '>', after)
      .orderBy('personal_access_tokens.id')
  for await (const row of paged((after) => tokens(after).limit(PAGE_ROWS).execute()))
    yield {
      ...fact('personal_access_tokens', `token:${row.id}`, () =>
        JSON.stringify(issueDetails(tokenFrom(row), `user:${row.username}`)),
      ),
      endsAt: row.revoked_at,
    }

  const sessions = (after: number) =>
    queries
      .selectFrom('sessions')
      .innerJoin('accounts', 'accounts.id', 'account_id')
      .select(['sessions.id', 'signed_in_by', 'username'])
      .where('signed_in_by', 'is not', null)
      .where('sessions.id', '>', after)
  for await (const row of paged((after) => sessions(after).orderBy('sessions.id').limit(PAGE_ROWS).execute()))
    yield fact('sessions', `session:${row.id}`, JSON.stringify([`user:${row.username}`, row.signed_in_by]))
}

/** A value that somebody edited by hand may be invalid JSON or an invalid URL. */
function orUnreadable(read: () => string): string {
  try {
    return read()
  } catch {
    return '"unreadable"'
  }
}

function webhookValue(origin: string, username: string | null): string {
  return JSON.stringify([origin, username === null ? null : `user:${username}`])
}

async function* paged<Row extends { readonly id: number }>(read: (after: number) => Promise<Row[]>) {
  for (let after = 0; ;) {
    const rows = await read(after)
    const last = rows.at(-1)
    if (last === undefined) return
    yield* rows
    after = last.id
    await new Promise((resolve) => setImmediate(resolve))
  }
}
