import { emailKeyOf } from './account-store.js'
import type { Queries } from './database.js'
import type { Schema } from './database-schema.js'
import { originKey, originValue, protectionValue, timeOf } from './recorded-facts.js'
import type { TokenRow } from './token-row.js'
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
  /** The pushes charged to a token with a budget. */
  readonly pushes?: number
  /** What is wrong with the row whatever the events say. */
  readonly contradiction?: Contradiction
  /** Facts of the same row that earlier versions didn't carry over from pruned events. */
  readonly parts?: readonly PartialFact[]
}

type Contradiction = { readonly key: string; readonly expected: string; readonly found: string }

/** @property isTime whether the value is an instant, which may differ a little from the time of the event */
export type PartialFact = { readonly key: string; readonly value: string; readonly isTime: boolean }

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
  const time = (key: string, at: number | null): PartialFact => ({ key, value: String(at), isTime: true })
  for (const { key, value, set_at } of await queries.selectFrom('settings').selectAll().orderBy('key').execute()) {
    const setting = fact('settings', `setting:${key}`, JSON.stringify(value))
    yield { ...setting, parts: [time(timeOf(setting.key), set_at)] }
  }

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
      .selectAll('accounts')
      .select('two_factors.account_id as factor')
      .where('id', '>', after)
  for await (const { username, ...row } of paged((after) => accounts(after).orderBy('id').limit(PAGE_ROWS).execute())) {
    const user = `user:${username}`
    // First, because a missing state shows that the account itself is missing.
    const state = fact('accounts', `${user} state`, JSON.stringify(row.state))
    yield { ...state, parts: [time(redact(`${user} created_at`), row.created_at)] }
    yield fact('accounts', `${user} admin`, JSON.stringify(row.admin === 1))
    yield fact('accounts', `${user} name`, JSON.stringify(row.name))
    const email = fact('accounts', `${user} email`, JSON.stringify(row.email))
    yield row.email_key === emailKeyOf(row.email)
      ? email
      : { ...email, contradiction: emailKeyContradiction(user, row) }
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

  const tokenFact = (row: TokenRow & { readonly username: string }): CurrentFact => {
    const key = `token:${row.id}`
    const details = () => JSON.stringify(issueDetails(tokenFrom(row), `user:${row.username}`))
    const origin = redact(originValue(row.issued_by, row.previous_personal_access_token_id))
    const hasBudget = row.max_pushes !== null || row.max_push_bytes !== null
    return {
      ...fact('personal_access_tokens', key, details),
      endsAt: row.revoked_at,
      parts: [time(timeOf(key), row.created_at), { key: originKey(key), value: origin, isTime: false }],
      ...(hasBudget ? { pushes: row.pushes } : {}),
    }
  }
  const tokens = (after: number) =>
    queries
      .selectFrom('personal_access_tokens')
      .innerJoin('accounts as owner', 'owner.id', 'user_id')
      .select(TOKEN_COLUMNS.map((column) => `personal_access_tokens.${column}` as const))
      .select('owner.username')
      .where('personal_access_tokens.id', '>', after)
      .orderBy('personal_access_tokens.id')
  for await (const row of paged((after) => tokens(after).limit(PAGE_ROWS).execute())) yield tokenFact(row)

  const sessions = (after: number) =>
    queries
      .selectFrom('sessions')
      .innerJoin('accounts', 'accounts.id', 'account_id')
      .select(['sessions.id', 'signed_in_by', 'username', 'sessions.created_at'])
      .where('signed_in_by', 'is not', null)
      .where('sessions.id', '>', after)
  for await (const row of paged((after) => sessions(after).orderBy('sessions.id').limit(PAGE_ROWS).execute()))
    yield {
      ...fact('sessions', `session:${row.id}`, JSON.stringify([`user:${row.username}`, row.signed_in_by])),
      parts: [time(timeOf(`session:${row.id}`), row.created_at)],
    }
}

/** A value that somebody edited by hand may be invalid JSON or an invalid URL. */
function orUnreadable(read: () => string): string {
  try {
    return read()
  } catch {
    return '"unreadable"'
  }
}

function emailKeyContradiction(
  user: string,
  { email, email_key }: Pick<Schema['accounts'], 'email' | 'email_key'>,
): Contradiction {
  const expected = `${JSON.stringify(emailKeyOf(email))}, the mail address in lower case`
  return { key: `${user} email_key`, expected, found: JSON.stringify(email_key) }
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
