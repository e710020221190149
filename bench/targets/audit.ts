import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditEvent } from '../../src/domain/audit/event.js'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { openStore } from '../../src/storage/open.js'
import type { Store } from '../../src/storage/open.js'
import { AuditThread } from '../../src/storage/audit-thread.js'
import type { Plan } from '../plan.js'
import type { Findings, Verdict } from '../result.js'
import type { Stage } from '../stage.js'

const BATCH = 1_000
// As many as the gate gathers in half a second at two hundred requests a second.
const HOT_BATCH = 100
const HOT_ROUNDS = 50
// As many as the recorder hands over at once.
const BUSY_BATCH = 500
const ALICE = 'alice'

/** The audit log: what an event costs a request, and how long users wait for a log with many events. */
export async function benchAudit(stage: Stage, plan: Plan): Promise<Findings> {
  const store = openStore(join(stage.folder, 'audit'), undefined)
  const count = plan.auditRows
  const costs: number[] = []
  for (let from = 0; from < count; from += BATCH) await store.audit.record(events(from, BATCH))
  for (let round = 0; round < HOT_ROUNDS; round++) costs.push(await costOfRow(store, count + round * HOT_BATCH))
  const handedOver = await costsHandedOver(stage, store, count + HOT_ROUNDS * HOT_BATCH)
  const rows = `${count.toLocaleString('en')} rows`
  const within = async (claim: string, most: number, ask: () => Promise<unknown>): Promise<Verdict> => {
    const values: number[] = []
    for (let round = 0; round < plan.fewRounds; round++) {
      const started = performance.now()
      await ask()
      values.push(performance.now() - started)
    }
    return { target: 'audit', claim: `${claim}, ${rows}`, unit: 'ms', bound: { most }, values }
  }
  const verdicts = [
    await within('the last 50 rows', 50, () => store.audit.list({ limit: 50 })),
    await within('rows of one token', 100, () => store.audit.list({ limit: 50, tokens: [7] })),
    await within('rows of one user and action', 200, () =>
      store.audit.list({ limit: 50, user: ALICE, action: 'git.push' }),
    ),
    await within('rows of repositories by pattern', 200, () => store.audit.list({ limit: 50, repository: 'team/*7' })),
    await within('rows of an address that there is none of', 3_000, () =>
      store.audit.list({ limit: 50, ip: '203.0.113.1' }),
    ),
    await within('all that one token did, added up', 1_000, () => store.audit.usage([7], new Date(0))),
    await within('verification', 20_000, () => store.audit.verify()),
  ]
  await store.close()
  const hot = {
    target: 'audit',
    claim: `CPU of a row on the way of a request, ${HOT_BATCH} in a batch`,
    unit: 'µs',
    bound: { most: 60 },
    values: costs,
    note: 'at most 5 % of a request that starts Git: see the CPU of ls-remote above',
  } as const
  const busy = {
    target: 'audit',
    claim: `CPU of a row that the thread of requests pays while there are many, ${BUSY_BATCH} in a batch`,
    unit: 'µs',
    bound: { most: 6 },
    values: handedOver,
    note: 'at most 5 % of a cache hit, which costs about 130 µs; a separate thread pays the rest',
    why: 'a batch alone varies with the machine (medians of 7 to 11 µs). Measured end to end, with and without events in turns, the cost was 2 %',
  } as const
  return { series: [], verdicts: [hot, busy, ...verdicts] }
}

/** @returns microseconds of CPU of this thread for each row of a batch, after the thread that writes has warmed up */
async function costsHandedOver(stage: Stage, store: Store, from: number): Promise<number[]> {
  const thread = new AuditThread({ data: join(stage.folder, 'audit'), keyFile: undefined }, store.audit)
  const costs: number[] = []
  for (let round = 0; round < 2 * HOT_ROUNDS; round++) {
    const batch = events(from + round * BUSY_BATCH, BUSY_BATCH)
    const before = cpuOfThisThread()
    await thread.record(batch)
    if (round >= HOT_ROUNDS) costs.push((cpuOfThisThread() - before) / BUSY_BATCH)
  }
  await thread.close()
  return costs
}

/** Microseconds of CPU of the main thread (Linux: /proc/PID/schedstat counts nanoseconds). */
function cpuOfThisThread(): number {
  const [nanoseconds = '0'] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1_000
}

/** @returns microseconds of CPU */
async function costOfRow(store: Store, from: number): Promise<number> {
  const batch = events(from, HOT_BATCH)
  const before = process.cpuUsage()
  await store.audit.record(batch)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / HOT_BATCH
}

function events(from: number, count: number): AuditEvent[] {
  return Array.from({ length: count }, (_, index) => event(from + index))
}

/** A row as a gate writes it: one of a hundred users, a thousand tokens, five hundred repositories. */
function event(number: number): AuditEvent {
  const isPush = number % 20 === 0
  return {
    ...auditEvent(THE_GATE, new Date(1_700_000_000_000 + number * 100), { action: isPush ? 'git.push' : 'git.fetch' }),
    via: 'git',
    accountId: number % 100,
    username: number % 100 === 0 ? ALICE : `user-${number % 100}`,
    tokenId: number % 1_000,
    ip: `192.0.2.${number % 250}`,
    userAgent: 'git/2.39.5',
    requestId: `0d6d77c4-4b4e-4a0e-9a9c-${String(number).padStart(12, '0')}`,
    repository: `team/app-${number % 500}`,
    service: isPush ? 'git-receive-pack' : 'git-upload-pack',
    rule: 'grant 3 (alice write team/**)',
    refs: isPush ? [{ ref: 'refs/heads/main', old: '1'.repeat(40), new: '2'.repeat(40) }] : null,
    bytesIn: 400,
    bytesOut: 100_000,
  }
}
