import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import { Access } from '../../src/domain/access/access.js'
import { parseCredential } from '../../src/domain/access/authenticate.js'
import { Bans } from '../../src/domain/access/ban.js'
import { AccessMemory } from '../../src/domain/access/memory.js'
import { Passwords } from '../../src/domain/accounts/password.js'
import { systemClock } from '../../src/core/clock.js'
import { openStore } from '../../src/storage/open.js'
import type { Store } from '../../src/storage/open.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import { issueToken } from '../../src/domain/tokens/issue.js'
import { DEFAULT_PREFIX, digestSecret, mintSecret } from '../../src/domain/tokens/token-secret.js'
import { basic } from '../../test/acceptance/http-client.js'
import type { Plan } from '../plan.js'
import type { Findings } from '../result.js'
import type { Stage } from '../stage.js'

// Fewer than the gate remembers, so that a new memory is all it takes to have every look-up go to the database.
const PASS = 1_000
const CACHED = 100_000
const IP = '127.0.0.1'

const WHY =
  'it is a digest and two look-ups by prepared statements, and size costs nothing (the next row); the machine varies: the same code took 22 to 25 µs on other days'

/**
 * Target 4: the CPU that it takes to find out who makes a request, in this process, with the compiled code of the gate and
 * a database on disk. Without the note of last use, which is written at most once a day and token.
 */
export async function benchAuthentication(stage: Stage, plan: Plan): Promise<Findings> {
  const [few, many] = plan.tokens
  const [withFew, withMany] = [await openWith(stage, few), await openWith(stage, many)]
  const [uncachedFew, uncachedMany, cached]: [number[], number[], number[]] = [[], [], []]
  // The first round warms the compiler and the page cache.
  for (let round = 0; round <= plan.rounds; round++) {
    const values = [await uncached(withFew), await uncached(withMany), await cachedCost(withMany)] as const
    if (round === 0) continue
    uncachedFew.push(values[0])
    uncachedMany.push(values[1])
    cached.push(values[2])
  }
  for (const { store } of [withFew, withMany]) await store.close()
  const count = many.toLocaleString('en')
  const us = (most: number, claim: string, values: number[]) =>
    ({ target: 4, claim, unit: 'µs', bound: { most }, values, why: WHY }) as const
  return {
    series: [],
    verdicts: [
      us(40, `CPU of authentication, not cached, ${count} tokens`, uncachedMany),
      {
        target: 4,
        claim: `CPU of authentication, ${count} tokens to ${few.toLocaleString('en')}`,
        unit: '×',
        bound: { most: 1.5 },
        values: uncachedMany.map((value, i) => value / (uncachedFew[i] ?? Number.NaN)),
      },
      us(15, 'CPU of authentication, cached, with the look at the epoch', cached),
    ],
  }
}

type Tokens = { readonly store: Store; readonly headers: readonly string[] }

async function uncached({ store, headers }: Tokens): Promise<number> {
  const access = accessOver(store)
  return await cost(headers.length, (i) => access.authenticate(parseCredential(headers[i]), IP))
}

async function cachedCost({ store, headers }: Tokens): Promise<number> {
  const access = accessOver(store)
  return await cost(CACHED, () => access.authenticate(parseCredential(headers[0]), IP))
}

/** @returns microseconds of CPU */
async function cost(count: number, operate: (i: number) => Promise<{ readonly kind: string }>): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) {
    const { kind } = await operate(i)
    if (kind !== 'identified') throw new Error(`authentication ended as ${kind}`)
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}

function accessOver(store: Store): Access {
  return new Access({
    memory: new AccessMemory(store.access),
    passwords: new Passwords(systemClock, { cost: 4 }),
    bans: new Bans(),
    clock: systemClock,
    ownsGroup: true,
    budgets: store.tokens,
    onTokenUse: () => undefined,
  })
}

/** Makes a store with so many tokens. @returns it, and the headers of some tokens that lie all over it */
async function openWith(stage: Stage, count: number): Promise<Tokens> {
  const folder = join(stage.folder, `tokens-${count}`)
  const store = openStore(folder, undefined)
  const now = systemClock()
  const person = { username: 'bench', name: 'Bench', email: null, admin: false, passwordHash: null }
  const account = await store.accounts.add(GATE_CONTEXT, person, now)
  const rules = issueRules(resolveSettings(await store.settings.list()), now)
  const draft = { name: 'bench', scopes: ['read_repository'] as const, expiry: undefined }
  const { token } = await issueToken(store.tokens, GATE_CONTEXT, account, draft, rules, now)

  const secrets = Array.from({ length: PASS }, () => mintSecret(DEFAULT_PREFIX))
  const database = new SQLite(join(folder, 'gitgate.sqlite3'))
  const columns = database
    .prepare<[], { name: string }>("SELECT name FROM pragma_table_info('personal_access_tokens')")
    .all()
    .map(({ name }) => name)
    .filter((name) => name !== 'id' && name !== 'token_digest')
    .join(', ')
  const copy = `INSERT INTO personal_access_tokens (token_digest, ${columns}) SELECT`
  const known = database.prepare(`${copy} ?, ${columns} FROM personal_access_tokens WHERE id = ${token.id}`)
  const others = database.prepare(
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
     ${copy} substr(hex(randomblob(32)), 1, 43), ${columns} FROM numbers, personal_access_tokens WHERE id = ${token.id}`,
  )
  database.transaction(() => {
    for (const secret of secrets) {
      if (count > PASS) others.run(count / PASS - 1)
      known.run(digestSecret(secret).reveal())
    }
  })()
  database.close()
  // As chance would have it, but the same in each run: neighbours in the database do not come one after the other.
  const order = secrets.map((_, i) => secrets[(i * 397) % secrets.length])
  return { store, headers: order.map((secret) => basic('', secret?.reveal() ?? '')) }
}
