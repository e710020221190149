import { sql } from 'kysely'
import type { ChainHead } from '../domain/audit/chain.js'
import type { StateFlaw } from '../domain/audit/flaw.js'
import type { CarriedHead } from './audit-carried.js'
import { carriedAfter, carriedHeadOf, hashCarried, NEWEST_PRUNED } from './audit-carried.js'
import { blockOf } from './audit-names.js'
import type { CurrentFact, PartialFact } from './current-facts.js'
import { currentFacts, TABLES_WITH_ID } from './current-facts.js'
import type { Queries } from './database.js'
import type { UseKey } from './fact-ledger.js'
import { FactLedger } from './fact-ledger.js'
import { CLOCK_TOLERANCE_MS, endOf, factsOf } from './recorded-facts.js'
import type { Schema } from './database-schema.js'

type Row = Schema['audit_events']

// Rows read at a time. That takes a few milliseconds; in between, other requests run.
const PAGE_ROWS = 1_000

/** Compares the log's indexes, and the tables that its events describe, with the rows of the log. Names are compared block by
 * block, and everything else is collected in a {@link FactLedger}, so memory use doesn't grow with the log.
 */
export class DerivedState {
  readonly #first: ChainHead
  readonly #ledger = new FactLedger()
  readonly #redact: (text: string) => string
  readonly #clock: () => Date
  #block: number
  #names = new Set<string>()
  #carried: CarriedHead | undefined
  #newestPruned = 0
  #prunedBefore = 0
  #flaw: StateFlaw | undefined

  /** @param first the head before the first row */
  constructor(first: ChainHead, { redact, clock }: { redact: (text: string) => string; clock: () => Date }) {
    this.#first = first
    this.#redact = redact
    this.#clock = clock
    this.#block = blockOf(first.id + 1)
  }

  /** Reads the facts of pruned rows. */
  async begin(queries: Queries): Promise<void> {
    for (let after = ''; ;) {
      const rows = await carriedAfter(queries, after)
      const last = rows.at(-1)
      if (last === undefined) return
      for (const { key, value } of rows) {
        if (key === NEWEST_PRUNED) this.#newestPruned = Number(value)
        else this.#ledger.put([key, value], null)
      }
      after = last.key
    }
  }

  /** Adds the next row, which the hash chain has verified. */
  async take(queries: Queries, row: Row): Promise<void> {
    const block = blockOf(row.id)
    while (this.#block < block) {
      this.#flaw ??= await this.#compareNames(queries)
      this.#block += 1
      this.#names = new Set()
    }
    for (const name of namesIn(row)) this.#names.add(name)
    for (const fact of factsOf(row)) this.#ledger.put(fact, row.id)
    if (row.action === 'user.deleted' && row.target !== null) this.#ledger.endWebhooksOf(row.target, row.id)
    if (row.action === 'audit.pruned')
      this.#prunedBefore = Date.parse((JSON.parse(row.details ?? '{}') as { readonly before: string }).before)
    this.#carried = carriedHeadOf(row) ?? this.#carried
    this.#countPushes(row)
    if (row.token_id === null || row.repository === null || row.decision !== 'allowed') return
    if (row.action === 'git.fetch') this.#ledger.use(row.token_id, row.repository, row.at, null)
    if (row.action === 'git.pushed') this.#ledger.use(row.token_id, row.repository, null, row.at)
  }

  /** Counts what is charged to budgets: pushes that the gate passed on. */
  #countPushes({ action, decision, target, token_id, refs, details }: Row): void {
    if (decision !== 'allowed') return
    // A probe before a push has no refs.
    if (action === 'git.push' && token_id !== null && refs !== null && refs !== '[]') this.#ledger.pushed(token_id)
    if (action !== 'token.created' || target === null || details?.includes('"rotated_from":') !== true) return
    const { rotated_from } = JSON.parse(details) as { readonly rotated_from?: unknown }
    if (typeof rotated_from === 'number') this.#ledger.inheritPushes(idOf(target), rotated_from)
  }

  /** Compares everything else, after the last row.
   *
   * @param queries the database as it is right after the last row
   * @returns the first flaw
   */
  async end(queries: Queries, last: ChainHead): Promise<StateFlaw | undefined> {
    return (
      this.#flaw ??
      (await this.#compareNames(queries)) ??
      (await this.#findNamesBeyond(queries, last)) ??
      (await this.#compareCarried(queries)) ??
      (await findInvalidId(queries)) ??
      (await this.#compareFacts(queries)) ??
      (await this.#compareUses(queries))
    )
  }

  close(): void {
    this.#ledger.close()
  }

  async #compareNames(queries: Queries): Promise<StateFlaw | undefined> {
    const rows = await queries.selectFrom('audit_names').select('name').where('block', '=', this.#block).execute()
    const found = new Set(rows.map(({ name }) => name))
    const lacking = [...this.#names].find((name) => !found.has(name))
    if (lacking !== undefined) return nameFlaw(this.#block, lacking, 'missing')
    // The block in which the log begins also has the names of pruned rows.
    const isFirst = this.#block === blockOf(this.#first.id + 1) && this.#first.id > 0
    const extra = isFirst ? undefined : [...found].find((name) => !this.#names.has(name))
    return extra === undefined ? undefined : nameFlaw(this.#block, extra, 'extra')
  }

  async #findNamesBeyond(queries: Queries, last: ChainHead): Promise<StateFlaw | undefined> {
    const row = await queries
      .selectFrom('audit_names')
      .selectAll()
      .where((eb) => eb.or([eb('block', '<', blockOf(this.#first.id + 1)), eb('block', '>', blockOf(last.id))]))
      .limit(1)
      .executeTakeFirst()
    return row === undefined ? undefined : nameFlaw(row.block, row.name, 'extra')
  }

  async #compareCarried(queries: Queries): Promise<StateFlaw | undefined> {
    const { id, hash } = this.#carried ?? { id: null, hash: undefined }
    const isEmpty = (await carriedAfter(queries, '')).length === 0
    const isRight = hash === undefined ? isEmpty : hash === (await hashCarried(queries))
    return isRight ? undefined : { kind: 'carried-changed', id }
  }

  async #compareFacts(queries: Queries): Promise<StateFlaw | undefined> {
    for await (const current of currentFacts(queries, this.#redact)) {
      const flaw = this.#compareFact(current)
      if (flaw !== undefined) return flaw
    }
    const missing = this.#ledger.untaken()
    if (missing !== undefined) {
      const { key, value, row: id } = missing
      return { kind: 'not-as-recorded', table: tableOf(key), key, recorded: value, found: null, id }
    }
    return await findSurvivor(queries)
  }

  #compareFact({ table, key, value: found, endsAt, ...more }: CurrentFact): StateFlaw | undefined {
    const recorded = this.#ledger.take(key)
    const end = endsAt === undefined ? undefined : this.#ledger.take(endOf(key))
    if (end !== undefined) {
      const isEarlyEnough = typeof endsAt === 'number' && endsAt <= Number(end.value) + CLOCK_TOLERANCE_MS
      if (!isEarlyEnough)
        return notAsRecorded(table, endOf(key), instantOf(end.value), instantOf(endsAt ?? null), end.row)
      // The token has ended, so its other properties don't matter.
      if (endsAt <= this.#clock().getTime()) return undefined
    }
    if (recorded !== undefined && recorded.value !== found)
      return notAsRecorded(table, key, recorded.value, found, recorded.row)
    if (more.contradiction !== undefined) return { kind: 'inconsistent', table, ...more.contradiction }
    if (recorded === undefined) return this.#isComplete() ? { kind: 'unrecorded', table, key, found } : undefined
    const [partFlaw] = (more.parts ?? [])
      .map((part) => this.#comparePart(table, part))
      .filter((flaw) => flaw !== undefined)
    return partFlaw ?? this.#comparePushes(table, key, more.pushes)
  }

  #comparePart(table: string, { key, value: found, isTime }: PartialFact): StateFlaw | undefined {
    const recorded = this.#ledger.take(key)
    if (recorded === undefined || recorded.value === null || recorded.value === found) return undefined
    if (!isTime) return notAsRecorded(table, key, recorded.value, found, recorded.row)
    // The time of a setting may be missing, which NaN stands for.
    if (Math.abs(Number(recorded.value) - Number(found)) <= CLOCK_TOLERANCE_MS) return undefined
    return notAsRecorded(table, key, timeText(recorded.value), timeText(found), recorded.row)
  }

  #comparePushes(table: string, token: string, found: number | undefined): StateFlaw | undefined {
    if (found === undefined) return undefined
    const pushes = this.#ledger.pushesOf(idOf(token))
    if (found >= pushes) return undefined
    const expected = `at least ${pushes}, the number of its pushes in the log`
    return { kind: 'inconsistent', table, key: `${token} pushes`, expected, found: String(found) }
  }

  /** Whether the log has an event for every fact. Version 0.1.0 pruned rows without keeping their facts. */
  #isComplete(): boolean {
    return this.#first.id === 0 || this.#carried?.hash !== undefined
  }

  async #compareUses(queries: Queries): Promise<StateFlaw | undefined> {
    for (let token = this.#ledger.usedTokenAfter(-1); token !== null; token = this.#ledger.usedTokenAfter(token)) {
      const query = queries.selectFrom('personal_access_tokens').select('parent_id').where('id', '=', token)
      const row = await query.executeTakeFirst()
      const parent = row === undefined ? this.#ledger.parentOf(token) : (row.parent_id ?? token)
      if (parent !== undefined) this.#ledger.setParent(token, parent)
    }
    this.#ledger.addUpUses()
    return (await this.#findExtraUse(queries)) ?? (await this.#findLackingUse())
  }

  async #findLackingUse(): Promise<StateFlaw | undefined> {
    for (let after: UseKey | undefined = { token_id: -1, repository: '' }; after !== undefined;) {
      const { lacking, last } = this.#ledger.lackingAfter(after, PAGE_ROWS)
      for (const { parent_id, repository, fetched_at, pushed_at } of lacking) {
        // Pruning deletes by time of use, and keeps rows from a clock that was wrong.
        const isPruned = Math.max(fetched_at ?? 0, pushed_at ?? 0) < this.#prunedBefore
        if (parent_id !== -1 && !isPruned) return useFlaw(parent_id, repository, 'missing')
      }
      after = last
      await new Promise((resolve) => setImmediate(resolve))
    }
    return undefined
  }

  async #findExtraUse(queries: Queries): Promise<StateFlaw | undefined> {
    // Nothing is known about uses that version 0.1.0 pruned.
    const pruned = this.#isComplete() ? this.#newestPruned : Infinity
    for (let after = { token_id: -Infinity, repository: '' }; ;) {
      const rows = await queries
        .selectFrom('token_uses')
        .selectAll()
        .where((eb) =>
          eb.or([
            eb('token_id', '>', after.token_id),
            eb.and([eb('token_id', '=', after.token_id), eb('repository', '>', after.repository)]),
          ]),
        )
        .orderBy('token_id')
        .orderBy('repository')
        .limit(PAGE_ROWS)
        .execute()
      const last = rows.at(-1)
      if (last === undefined) return undefined
      for (const row of rows) {
        if (!isAssignable(row.token_id)) return useFlaw(row.token_id, row.repository, 'extra')
        this.#ledger.found(row)
        const use = this.#ledger.lastUse(row.token_id, row.repository)
        const isKnown = (at: number | null, latest: number | null) => (at ?? 0) <= Math.max(latest ?? 0, pruned)
        if (!isKnown(row.fetched_at, use.fetched_at) || !isKnown(row.pushed_at, use.pushed_at))
          return useFlaw(row.token_id, row.repository, 'extra')
      }
      after = last
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** Pages are read by ID, and JavaScript rounds those beyond 2^53: rows there could be missed. */
async function findInvalidId(queries: Queries): Promise<StateFlaw | undefined> {
  for (const table of TABLES_WITH_ID) {
    const row = await queries
      .selectFrom(table)
      .select(sql<string>`CAST(id AS text)`.as('id'))
      .where((eb) => eb.or([eb('id', '<', 1), eb('id', '>', Number.MAX_SAFE_INTEGER)]))
      .limit(1)
      .executeTakeFirst()
    if (row !== undefined) return { kind: 'invalid-id', table, id: row.id }
  }
  return undefined
}

function isAssignable(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0
}

/** A derived token is revoked with its parent; only the parent's revocation has an event. */
async function findSurvivor(queries: Queries): Promise<StateFlaw | undefined> {
  const row = await queries
    .selectFrom('personal_access_tokens as token')
    .innerJoin('personal_access_tokens as parent', 'parent.id', 'token.parent_id')
    .select(['token.id', 'token.revoked_at', 'parent.revoked_at as ends_at'])
    .where('parent.revoked_at', 'is not', null)
    .where((eb) =>
      eb.or([eb('token.revoked_at', 'is', null), eb('token.revoked_at', '>', eb.ref('parent.revoked_at'))]),
    )
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const [recorded, found] = [instantOf(row.ends_at), instantOf(row.revoked_at)]
  return notAsRecorded('personal_access_tokens', endOf(`token:${row.id}`), recorded, found, null)
}

/** The names that triggers add to `audit_names` for a row. */
function namesIn({ username, impersonator, target, details }: Row): string[] {
  const names = [username, impersonator, target?.startsWith('user:') === true ? target.slice('user:'.length) : null]
  // The trigger matches the same text.
  if (details?.includes('"owner":"user:') === true) {
    const { owner } = JSON.parse(details) as { readonly owner?: unknown }
    if (typeof owner === 'string') names.push(owner.slice('user:'.length))
  }
  return names.filter((name) => name !== null)
}

function nameFlaw(block: number, name: string, is: 'missing' | 'extra'): StateFlaw {
  return { kind: 'index-changed', table: 'audit_names', entry: `block ${block}, name ${name}`, is }
}

function useFlaw(token: number, repository: string, is: 'missing' | 'extra'): StateFlaw {
  return { kind: 'index-changed', table: 'token_uses', entry: `token ${token}, repository ${repository}`, is }
}

function notAsRecorded(table: string, key: string, recorded: string | null, found: string | null, id: number | null) {
  return { kind: 'not-as-recorded', table, key, recorded, found, id } as const
}

/** The ID in the key of a token. */
function idOf(token: string): number {
  return Number(token.slice('token:'.length))
}

/** A time that somebody edited by hand may be beyond what dates can be. */
function timeText(milliseconds: string): string {
  const date = new Date(Number(milliseconds))
  return Number.isNaN(date.getTime()) ? milliseconds : date.toISOString()
}

function instantOf(milliseconds: string | number | null): string {
  return milliseconds === null ? 'never' : new Date(Number(milliseconds)).toISOString()
}

function tableOf(key: string): string {
  const kind = key.slice(0, key.indexOf(':'))
  if (key.endsWith(' two_factor')) return 'two_factors'
  return { setting: 'settings', grant: 'grants', protection: 'protected_refs', webhook: 'webhooks' }[kind] ?? 'accounts'
}
