// Attack: somebody who can write to the database changes a column that verification forgot, such as what a token's budget has left,
// or one that a later migration adds. Each column is either compared with the audit log or listed in docs/audit.md, with the reason.
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { DAY } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import { auditEvent, GATE_CONTEXT, THE_GATE } from '../../src/domain/audit/event.js'
import type { Flaw } from '../../src/domain/audit/flaw.js'
import { flawSentence } from '../../src/domain/audit/flaw.js'
import { UNLIMITED } from '../../src/domain/tokens/budget.js'
import type { NewToken } from '../../src/domain/tokens/token.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { newToken } from '../storage/new-token.js'
import { addAccount, NOON } from '../storage/temporary-store.js'

const LONG_AGO = new Date(NOON.getTime() - 30 * DAY)
const secret = (text: string) => new Secret(text, 'secret')

/** Edits of columns for which a longer text or a later time is no attack, or not allowed by a constraint. */
const EDITS: Readonly<Record<string, string>> = {
  'accounts.admin': 'SET admin = 1 - admin',
  'accounts.state': "SET state = 'blocked'",
  'grants.role': "SET role = 'admin'",
  'personal_access_tokens.impersonation': 'SET impersonation = 1 - impersonation',
  'personal_access_tokens.parent_id': 'SET parent_id = 1 WHERE id = 3',
  'personal_access_tokens.pushes': 'SET pushes = pushes - 1 WHERE id = 1',
  'personal_access_tokens.previous_personal_access_token_id': 'SET previous_personal_access_token_id = NULL',
  'personal_access_tokens.revoked_at': 'SET revoked_at = NULL',
  'personal_access_tokens.user_id': 'SET user_id = 2',
  'personal_access_tokens.last_used_ips': `SET last_used_ips = '["192.0.2.9"]'`,
  'protected_refs.delete': `SET "delete" = 'write'`,
  'protected_refs.force': "SET force = 'write'",
  'protected_refs.push': "SET push = 'nobody'",
  'sessions.account_id': 'SET account_id = 1',
  'sessions.signed_in_by': "SET signed_in_by = 'totp'",
  'two_factors.account_id': 'SET account_id = 2',
  'webhooks.account_id': 'SET account_id = NULL',
  'webhooks.url': "SET url = 'https://evil.example.com/hook'",
}

/** A data folder with a row in each table whose columns are compared; some events are pruned. */
async function filled(t: Test): Promise<string> {
  const folder = temporaryFolder(t)
  let now = LONG_AGO
  const store = openStore(join(folder, 'data'), undefined, { clock: () => now })
  const { accounts, twoFactors, settings, grants, protections, webhooks, sessions, audit } = store
  const alice = await addAccount(store, 'alice', { email: 'Alice@example.com' }, GATE_CONTEXT, now)
  now = NOON
  const bob = await addAccount(store, 'bob')
  await twoFactors.enable(GATE_CONTEXT, alice.id, secret('seed'), [secret('code')], NOON)
  await settings.set(GATE_CONTEXT, new Map([['push_to_create', 'false']]), NOON)
  await grants.put(GATE_CONTEXT, { subject: 'alice', role: 'read', pattern: 'team/**' }, NOON)
  const levels = { push: 'write', force: 'nobody', delete: 'admin' } as const
  await protections.put(GATE_CONTEXT, { repositories: '**', refs: 'refs/heads/main', ...levels }, NOON)
  await webhooks.add(GATE_CONTEXT, bob.id, 'https://example.com/hook', secret('hook'), NOON)
  const account = (await accounts.find(bob.id))!
  const session = { account, digest: secret('cookie'), ip: '', userAgent: null, signedInBy: 'password' } as const
  await sessions.start(GATE_CONTEXT, { ...session, completes: null }, { begun: 0, seen: 0, half: 0 })
  await pushWithBudgets(store, alice.id)
  const fetch = { action: 'git.fetch', repository: 'team/a' } as const
  await audit.record([auditEvent({ ...THE_GATE, tokenId: 1, username: 'alice' }, NOON, fetch)])
  t.equal((await audit.prune(GATE_CONTEXT, new Date(NOON.getTime() - DAY), NOON, 'force')).deleted, 1)
  await store.close()
  return folder
}

/** Token 1 has a budget, token 2 is derived from it, and token 3 replaces it tomorrow. Token 4 is revoked. */
async function pushWithBudgets({ tokens, audit }: Store, userId: number): Promise<void> {
  const add = (name: string, given: Partial<NewToken>) => newToken(userId, { digest: secret(name), ...given })
  const push = async (tokenId: number) => {
    await tokens.spend(tokenId, { pushes: 1, bytes: 100 })
    const refs = [{ ref: 'refs/heads/main', old: '0'.repeat(40), new: '1'.repeat(40) }]
    const actor = { ...THE_GATE, tokenId, username: 'alice' }
    const events = (['git.push', 'git.pushed'] as const).map((action) => ({ action, repository: 'team/a', refs }))
    const probe = { action: 'git.push', repository: 'team/a', refs: [], details: { probe: true } } as const
    await audit.record([...events, probe].map((event) => auditEvent(actor, NOON, event)))
  }
  const budget = { pushes: 9, bytes: null }
  const expiresAt = new Date(NOON.getTime() + 90 * DAY)
  await tokens.add(GATE_CONTEXT, add('one', { budget, expiresAt }))
  await tokens.add(GATE_CONTEXT, add('two', { budget: UNLIMITED, parentId: 1 }))
  for (const id of [1, 1, 2]) await push(id)
  const { spent } = (await tokens.find(1))!
  const tomorrow = new Date(NOON.getTime() + DAY)
  await tokens.replace(GATE_CONTEXT, 1, add('three', { budget, spent, previousId: 1 }), tomorrow)
  await push(3)
  await tokens.add(GATE_CONTEXT, add('four', {}))
  await tokens.revoke(GATE_CONTEXT, 4, NOON)
}

/** Verifies a copy of the data folder in which somebody has edited the database. */
async function verifyEdited(folder: string, name: string, statements: string): Promise<Flaw | undefined> {
  const copy = join(folder, name)
  cpSync(join(folder, 'data'), copy, { recursive: true })
  const database = new SQLite(join(copy, 'gitgate.sqlite3'))
  database.pragma('foreign_keys = OFF')
  database.exec(statements)
  const isEdited = database.prepare('SELECT total_changes() > 0').pluck().get() === 1
  database.close()
  if (!isEdited) throw new Error(`no row was edited: ${statements}`)
  const store = openStore(copy, undefined, { clock: () => NOON })
  const { flaw } = await store.audit.verify()
  await store.close()
  return flaw
}

type Column = { readonly table: string; readonly column: string; readonly type: string }

function columnsIn(folder: string): Column[] {
  const database = new SQLite(join(folder, 'data', 'gitgate.sqlite3'), { readonly: true })
  const columns = database
    .prepare(
      `SELECT tables.name AS "table", columns.name AS "column", lower(columns.type) AS type
         FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'`,
    )
    .all() as Column[]
  database.close()
  return columns
}

/** The columns, and tables, that the documentation says verification can't know. */
function documentedUnknowns(): Set<string> {
  const docs = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'audit.md'), 'utf8')
  const section = docs.split("\n### What `verify` can't know\n")[1]?.split('\n##')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  return new Set(
    rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name)),
  )
}

function editOf({ table, column, type }: Column): string {
  const own = EDITS[`${table}.${column}`]
  if (own !== undefined) return `UPDATE ${table} ${own}`
  const value = type === 'integer' ? `coalesce("${column}" + 86400000, 9e12)` : `coalesce("${column}", '') || 'x'`
  const key = table === 'token_uses' || table.startsWith('audit_') || table === 'settings' ? '' : ' WHERE rowid = 1'
  return `UPDATE ${table} SET "${column}" = ${value}${key}`
}

t.test('verification reports an edit of each column that it does not say it can’t know', async (t) => {
  const folder = await filled(t)
  const unknown = documentedUnknowns()
  const columns = columnsIn(folder)
  const names = columns.flatMap(({ table, column }) => [table, `${table}.${column}`])
  for (const name of unknown) t.ok(names.includes(name), `docs/audit.md names ${name}, which exists`)
  for (const column of columns) {
    const name = `${column.table}.${column.column}`
    if (unknown.has(column.table) || unknown.has(name)) continue
    const flaw = await verifyEdited(folder, name, editOf(column))
    t.ok(flaw, `${name} is compared, or docs/audit.md says why not`)
    if (flaw !== undefined) t.comment(flawSentence(flaw))
  }
})

t.test('verification says nothing about columns that it says it can’t know', async (t) => {
  const folder = await filled(t)
  const unknown = documentedUnknowns()
  const edits = columnsIn(folder).filter(({ table, column }) => unknown.has(`${table}.${column}`))

  t.equal(await verifyEdited(folder, 'unknown', edits.map(editOf).join(';')), undefined)
})

t.test('pushes that the log has were charged to the budget, also after a rotation and by derived tokens', async (t) => {
  const folder = await filled(t)
  for (const [id, pushes, least] of [
    [1, 2, 3],
    [3, 3, 4],
  ]) {
    const statement = `UPDATE personal_access_tokens SET pushes = ${pushes} WHERE id = ${id}`
    const flaw = await verifyEdited(folder, `token-${id}`, statement)
    t.match(flaw && flawSentence(flaw), new RegExp(`token:${id} pushes is ${pushes} in .* must be at least ${least}, `))
  }
})
