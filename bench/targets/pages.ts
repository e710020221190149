import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import SQLite from 'better-sqlite3'
import { Passwords } from '../../src/domain/accounts/password.js'
import { DAY, systemClock } from '../../src/core/clock.js'
import { loadConfig } from '../../src/config/config.js'
import { createGate } from '../../src/app/gate.js'
import { createLog } from '../../src/server/log.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import { issueToken } from '../../src/domain/tokens/issue.js'
import { FormClient } from '../../test/pages/form-client.js'
import type { Plan } from '../plan.js'
import type { Findings, Verdict } from '../result.js'
import type { Stage } from '../stage.js'
import { fillGate } from './pages-world.js'

const PASSWORD = 'correct horse battery'
const TOKENS = '/-/user_settings/personal_access_tokens'
const ADMIN = '/-/admin'

const BUSY_TOKEN_WHY =
  'of a busy token the last 1,000 rows are added up: to keep their sums would cost each request more'
const OVER_PRIVILEGED_WHY =
  'it compares what every token can access with what it used; with a byte instead of a bit for each repository that takes four times as long'

/** Pages by what they show. */
type Pages = Readonly<Record<string, string>>

/**
 * The pages, over HTTP, from a gate in this process with a database on disk: those about tokens for an account that has very
 * many, and those of an installation where there is much of everything. How long a browser waits for one; what the client does
 * in the meantime counts as well.
 */
export async function benchPages(stage: Stage, plan: Plan): Promise<Findings> {
  const tokens = plan.pageTokens.toLocaleString('en')
  const ofOne = await withGate(join(stage.folder, 'pages'), async ({ store, folder, passwordHash, visit }) => {
    const last = await fill(store, folder, plan.pageTokens, passwordHash)
    return await visit('alice', `of ${tokens}`, plan, {
      'the first page of tokens': TOKENS,
      'the last page of all tokens, by name': `${TOKENS}?state=all&sort=name_asc&page=${Math.floor(plan.pageTokens / 100)}`,
      'tokens that are expiring': `${TOKENS}?state=expiring`,
      'a search that finds one token': `${TOKENS}?state=all&search=token+77+`,
      'a search by repository': `${TOKENS}?search=team/app7`,
      'the form of a new token': `${TOKENS}/new`,
      'the question whether to revoke one': `${TOKENS}/${last}/revoke`,
    })
  })
  const ofMany = await withGate(join(stage.folder, 'pages-of-many'), async ({ store, folder, passwordHash, visit }) => {
    const { busy, user } = await fillGate(store, folder, plan, passwordHash)
    const rows = plan.auditRows.toLocaleString('en')
    const all = `${tokens} tokens and repositories, ${rows} rows`
    const own = await visit('alice', all, plan, {
      repositories: '/',
      'repositories, the last page': `/?page=${Math.floor(plan.pageTokens / 100)}`,
      'repositories, a search': '/?search=project-77',
      'whether to revoke the busiest token': `${TOKENS}/${busy}/revoke`,
      'a new token, with preview': `${TOKENS}/new`,
    })
    const administration = await visit('root', all, plan, {
      overview: ADMIN,
      'accounts, a late page': `${ADMIN}/users?page=20`,
      'accounts, a search': `${ADMIN}/users?search=user&two_factor=off`,
      'an account': `${ADMIN}/users/${user}`,
      "everybody's tokens": `${ADMIN}/credentials`,
      "everybody's tokens, the last page": `${ADMIN}/credentials?page=${Math.floor(plan.pageTokens / 100)}`,
      'tokens that never expire': `${ADMIN}/credentials?search=99&show=never_expires`,
      'tokens that are unused': `${ADMIN}/credentials?show=unused`,
      'tokens wider than used': `${ADMIN}/credentials?show=wider`,
      grants: `${ADMIN}/grants`,
      'grants, a search': `${ADMIN}/grants?search=archive-77`,
      'the explain box': `${ADMIN}/explain?user=${user}&repository=team-6/app&ref=main`,
      settings: `${ADMIN}/application_settings`,
      'the audit log': `${ADMIN}/audit_logs`,
      'the audit log of one user': `${ADMIN}/audit_logs?user=${user}`,
    })
    // Each visit finds out again what 10,000 tokens can access.
    let changes = 0
    const change = async (): Promise<void> => {
      const pattern = `changed-${(changes += 1)}/**`
      await store.grants.put(GATE_CONTEXT, { subject: '@all', role: 'read', pattern }, systemClock())
    }
    const overPrivileged = { 'over-privileged tokens after a change': `${ADMIN}/credentials?show=wider` }
    const changing = await visit('root', all, plan, overPrivileged, { change, boundMs: 500, why: OVER_PRIVILEGED_WHY })
    return [...own, ...administration, ...changing]
  })
  return { series: [], verdicts: [...ofOne, ...ofMany] }
}

type VisitOptions = {
  /** Called before each visit. */
  readonly change?: () => Promise<void>
  readonly boundMs?: number
  readonly why?: string
}

type Opened = {
  readonly store: Store
  readonly folder: string
  /** Of the password that everybody has. */
  readonly passwordHash: Secret
  readonly visit: (login: string, of: string, plan: Plan, pages: Pages, options?: VisitOptions) => Promise<Verdict[]>
}

/** Opens a gate on an empty folder, and closes it again. */
async function withGate(folder: string, run: (opened: Opened) => Promise<Verdict[]>): Promise<Verdict[]> {
  const config = loadConfig({ data: folder, repos: join(folder, 'repos'), port: '0', bcryptCost: '4' }, {}, undefined)
  const store = openStore(folder, undefined)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const log = createLog('silent', (line) => line, nowhere)
  const gate = await createGate(config, { clock: systemClock, log, store })
  const passwords = new Passwords(systemClock, { cost: 4 })
  const passwordHash = await passwords.hash(new Secret(PASSWORD, 'password'))
  try {
    const url = await gate.listen()
    return await run({ store, folder, passwordHash, visit: (...visit) => visitPages(url, ...visit) })
  } finally {
    await gate.close()
    await store.close()
  }
}

async function visitPages(
  url: string,
  login: string,
  of: string,
  plan: Plan,
  pages: Pages,
  { change, boundMs = 50, why = BUSY_TOKEN_WHY }: VisitOptions = {},
): Promise<Verdict[]> {
  const client = new FormClient(url)
  await client.signIn(login, PASSWORD)
  const verdicts: Verdict[] = []
  for (const [claim, path] of Object.entries(pages)) {
    const values: number[] = []
    // The first rounds warm the compiler and the page cache.
    for (let round = -3; round < plan.rounds; round++) {
      await change?.()
      const started = performance.now()
      const { status } = await client.get(path)
      if (status !== 200) throw new Error(`${path} was answered with ${status}`)
      if (round >= 0) values.push(performance.now() - started)
    }
    verdicts.push({ target: 'pages', claim: `${claim}, ${of}`, unit: 'ms', bound: { most: boundMs }, values, why })
  }
  return verdicts
}

/** Gives one account so many tokens, of all kinds. @returns the number of an active one */
async function fill(store: Store, folder: string, count: number, passwordHash: Secret): Promise<number> {
  const now = systemClock()
  const person = { username: 'alice', name: 'Alice', email: null, admin: false, passwordHash }
  const account = await store.accounts.add(GATE_CONTEXT, person, now)
  const rules = issueRules(resolveSettings(await store.settings.list()), now)
  const restrictions = { repositories: ['team/app'], refs: [], within: null }
  const draft = {
    name: 'token',
    description: 'For what it is for',
    scopes: ['read_api', 'write_repository'] as const,
    expiry: undefined,
    restrictions,
  }
  const { token } = await issueToken(store.tokens, GATE_CONTEXT, account, draft, rules, now)
  const database = new SQLite(join(folder, 'gitgate.sqlite3'))
  const columns = database
    .prepare<[], { name: string }>("SELECT name FROM pragma_table_info('personal_access_tokens')")
    .all()
    .map(({ name }) => name)
    .filter((name) => !['id', 'token_digest', 'name', 'expires_at', 'revoked_at', 'repositories'].includes(name))
    .join(', ')
  // A tenth is revoked; the others end within two years.
  database
    .prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
       INSERT INTO personal_access_tokens (token_digest, name, expires_at, revoked_at, repositories, ${columns})
       SELECT substr(hex(randomblob(32)), 1, 43), 'token ' || n || ' of many', ? + (n * 7919 % 730 + 1) * ?,
         CASE WHEN n % 10 = 0 THEN created_at END, json_array('team/app' || n), ${columns}
       FROM numbers, personal_access_tokens WHERE id = ?`,
    )
    .run(count - 1, now.getTime(), DAY, token.id)
  database.close()
  return token.id
}
