import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import { DAY, systemClock } from '../../src/core/clock.js'
import type { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { newToken } from '../../test/storage/new-token.js'
import type { Plan } from '../plan.js'

const ACCOUNTS = 2_000
const TEAMS = 100
const ARCHIVES = 5_000

/**
 * Fills a gate with very much of everything: accounts, grants, repositories and tokens of theirs, and audit events, all of
 * one busy token.
 *
 * @returns the number of that token, and the name of a user
 */
export async function fillGate(
  store: Store,
  folder: string,
  { pageTokens, auditRows }: Plan,
  passwordHash: Secret,
): Promise<{ readonly busy: number; readonly user: string }> {
  const now = systemClock()
  const add = (username: string, admin = false) =>
    store.accounts.add(GATE_CONTEXT, { username, name: username, email: null, admin, passwordHash }, now)
  const grant = (subject: string, role: 'read' | 'write', pattern: string) =>
    store.grants.put(GATE_CONTEXT, { subject, role, pattern }, now)
  for (let number = 0; number < pageTokens; number++)
    placeRepository(join(folder, 'repos', `team-${number % TEAMS}`, `project-${number}.git`))
  await add('root', true)
  const owners = [await add('alice')]
  for (let team = 0; team < TEAMS; team++) await grant('alice', 'write', `team-${team}/**`)
  for (let number = 0; number < ARCHIVES; number++) await grant('@all', 'read', `archive-${number}/**`)
  for (let number = 1; number < ACCOUNTS; number++) {
    owners.push(await add(`user-${number}`))
    await grant(`user-${number}`, 'write', `team-${number % TEAMS}/**`)
  }
  for (let number = 0; number < pageTokens; number++) {
    const repositories = number % 3 === 0 ? [`team-${number % TEAMS}/*`] : []
    const restrictions = { repositories, refs: [], within: null }
    // Old enough to be compared with what it was used for.
    const createdAt = new Date(now.getTime() - 2 * DAY)
    const owner = owners[number % owners.length]?.id ?? 0
    await store.tokens.add(
      GATE_CONTEXT,
      newToken(owner, { name: `token ${number}`, scopes: ['write_repository'], createdAt, restrictions }),
    )
  }
  const [busy] = await store.tokens.list({ userId: owners[0]?.id ?? 0 })
  addRows(folder, busy?.id ?? 0, auditRows, now)
  return { busy: busy?.id ?? 0, user: 'user-7' }
}

/** As little as makes a folder a repository. */
function placeRepository(folder: string): void {
  for (const part of ['objects', 'refs']) mkdirSync(join(folder, part), { recursive: true })
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/main\n')
}

/** The other tokens were each used with one repository. */
function addRows(folder: string, busy: number, count: number, now: Date): void {
  const database = new SQLite(join(folder, 'gitgate.sqlite3'))
  database
    .prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
       INSERT INTO audit_events (id, at, action, decision, via, token_id, ip, user_agent, repository, hash)
       SELECT 1000000 + n, ?, CASE n % 4 WHEN 0 THEN 'git.pushed' ELSE 'git.fetch' END, 'allowed', 'git', ?,
         '10.0.' || (n % 3) || '.' || (n % 200), 'git/2.' || (n % 40), 'team-' || (n % 100) || '/project-' || (n % 1000), ''
       FROM numbers`,
    )
    .run(count, now.getTime(), busy)
  database
    .prepare(
      `INSERT INTO token_uses (token_id, repository, fetched_at)
       SELECT id, 'team-1/project-1', ? FROM personal_access_tokens WHERE id <> ?`,
    )
    .run(now.getTime(), busy)
  database.close()
}
