import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { until } from '../../acceptance/until.js'
import type { Test } from 'tap'
import { DAY } from '../../../src/core/clock.js'
import type { Store } from '../../../src/storage/open.js'
import { issueToken } from '../../../src/domain/tokens/issue.js'
import { LastUse } from '../../../src/domain/tokens/last-use.js'
import type { PersonalAccessToken } from '../../../src/domain/tokens/token.js'
import type { AddIp, TokenUse } from '../../../src/domain/tokens/store.js'
import { NOON, addAccount, openTemporaryStore } from '../../storage/temporary-store.js'

const RULES = { prefix: 'ggpat-', latestExpiry: null, expiryRequired: false, disabled: false }

type World = {
  readonly store: Store
  readonly token: PersonalAccessToken
  readonly lastUse: LastUse
  /** The writes that reached the store. */
  readonly writes: readonly (readonly TokenUse[])[]
  readonly errors: readonly unknown[]
  /** What the store has to say about the token's use. */
  readonly stored: () => Promise<{ at: string | undefined; ips: readonly string[] | undefined }>
  /** While it is set, the store fails with it. */
  outage: Error | undefined
}

// Nothing is written before a test flushes.
const LATER_MS = 60_000

async function createWorld(t: Test, flushMs = LATER_MS): Promise<World> {
  const store = openTemporaryStore(t)
  const draft = { name: 'ci', scopes: ['api'] as const, expiry: undefined }
  const { token } = await issueToken(store.tokens, GATE_CONTEXT, await addAccount(store, 'alice'), draft, RULES, NOON)
  const writes: TokenUse[][] = []
  const errors: unknown[] = []
  const recordUses = async (uses: readonly TokenUse[], addIp: AddIp): Promise<void> => {
    if (world.outage !== undefined) throw world.outage
    writes.push([...uses])
    await store.tokens.recordUses(uses, addIp)
  }
  const world: World = {
    store,
    token,
    lastUse: new LastUse({ recordUses }, (error) => errors.push(error), flushMs),
    writes,
    errors,
    stored: async () => {
      const found = await store.tokens.find(token.id)
      return { at: found?.lastUsedAt?.toISOString(), ips: found?.lastUsedIps }
    },
    outage: undefined,
  }
  return world
}

function after(milliseconds: number): Date {
  return new Date(NOON.getTime() + milliseconds)
}

t.test('the first use is written with its address', async (t) => {
  const { lastUse, token, stored } = await createWorld(t)
  lastUse.record(token, '192.0.2.1', NOON)
  t.strictSame(await stored(), { at: undefined, ips: [] }, 'not on the way of the request')
  await lastUse.flush()
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.1'] })
})

t.test('last_used_at moves once in 24 hours', async (t) => {
  const { lastUse, token, stored, writes } = await createWorld(t)
  const instants = [0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY - 1]
  for (const instant of instants) {
    lastUse.record(token, '192.0.2.1', after(instant))
    await lastUse.flush()
    t.equal((await stored()).at, after(instant < DAY ? 0 : DAY).toISOString(), `after ${instant} ms`)
  }
  t.equal(writes.length, 2, 'what changes nothing is not written')
})

t.test('a new address within the day is written without moving last_used_at', async (t) => {
  const { lastUse, token, stored } = await createWorld(t)
  lastUse.record(token, '192.0.2.1', NOON)
  await lastUse.flush()
  lastUse.record(token, '192.0.2.2', after(1_000))
  await lastUse.flush()
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.2', '192.0.2.1'] })
})

t.test('the last five addresses are kept, newest first, each once', async (t) => {
  const { lastUse, token, stored } = await createWorld(t)
  for (const [index, digit] of [1, 2, 3, 4, 5, 6, 7].entries()) lastUse.record(token, `192.0.2.${digit}`, after(index))
  await lastUse.flush()
  t.strictSame((await stored()).ips, ['192.0.2.7', '192.0.2.6', '192.0.2.5', '192.0.2.4', '192.0.2.3'])
  lastUse.record(token, '192.0.2.1', after(10))
  lastUse.record(token, '192.0.2.4', after(DAY))
  await lastUse.flush()
  t.strictSame((await stored()).ips, ['192.0.2.4', '192.0.2.1', '192.0.2.7', '192.0.2.6', '192.0.2.5'])
})

t.test('what the store knew before counts', async (t) => {
  const { lastUse, token, stored, writes } = await createWorld(t)
  const used = { ...token, lastUsedAt: NOON, lastUsedIps: ['192.0.2.1'] }
  lastUse.record(used, '192.0.2.1', after(DAY - 1))
  await lastUse.flush()
  t.equal(writes.length, 0)
  lastUse.record(used, '192.0.2.1', after(DAY))
  await lastUse.flush()
  t.equal((await stored()).at, after(DAY).toISOString())
})

t.test('two gates that note the same token write once a day between them', async (t) => {
  const { lastUse, token, stored, store } = await createWorld(t)
  const other = new LastUse(store.tokens, (error) => t.fail(String(error)), LATER_MS)
  lastUse.record(token, '192.0.2.1', NOON)
  other.record(token, '192.0.2.2', after(1_000))
  await lastUse.flush()
  await other.flush()
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.2', '192.0.2.1'] })
})

t.test('uses are written by themselves, without a flush', async (t) => {
  const { lastUse, token, stored } = await createWorld(t, 10)
  lastUse.record(token, '192.0.2.1', NOON)
  await until(async () => (await stored()).at !== undefined)
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.1'] })
})

t.test('a store that fails loses no use: the next write brings all, in their order', async (t) => {
  const world = await createWorld(t)
  const { lastUse, token, stored, errors } = world
  world.outage = new Error('disk full')
  lastUse.record(token, '192.0.2.1', NOON)
  await lastUse.flush()
  lastUse.record(token, '192.0.2.2', after(1))
  await lastUse.flush()
  t.strictSame(errors, [world.outage, world.outage])
  world.outage = undefined
  lastUse.record(token, '192.0.2.3', after(2))
  await lastUse.flush()
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.3', '192.0.2.2', '192.0.2.1'] })
  t.equal(errors.length, 2)
})

t.test('the last flush ends after a write that is under way, so that a clean stop loses nothing', async (t) => {
  const { token, store, stored } = await createWorld(t)
  let letGo = (): void => undefined
  const held = new Promise<void>((resolve) => (letGo = resolve))
  const recordUses = async (uses: readonly TokenUse[], addIp: AddIp): Promise<void> => {
    await held
    await store.tokens.recordUses(uses, addIp)
  }
  const lastUse = new LastUse({ recordUses }, (error) => t.fail(String(error)), LATER_MS)
  lastUse.record(token, '192.0.2.1', NOON)
  const underWay = lastUse.flush()
  setImmediate(letGo)
  await lastUse.flush()
  t.strictSame(await stored(), { at: NOON.toISOString(), ips: ['192.0.2.1'] })
  await underWay
})

t.test('a token deleted meanwhile is no failure', async (t) => {
  const { lastUse, token, store, errors } = await createWorld(t)
  lastUse.record(token, '192.0.2.1', NOON)
  await store.accounts.remove(GATE_CONTEXT, (await store.accounts.find(token.userId))!)
  await lastUse.flush()
  t.strictSame(errors, [])
})
