import type { ChainFlaw, ChainHead } from '../domain/audit/chain.js'
import { CHAIN_START, ChainWalk } from '../domain/audit/chain.js'
import type { Flaw } from '../domain/audit/flaw.js'
import type { Verification } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'
import { readEnd } from './signed-heads.js'
import type { AuditMark } from './signed-heads.js'
import { AUDIT_COLUMNS, linkOf } from './audit-row.js'
import { DerivedState } from './audit-state.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'

// Read at a time: a few milliseconds, between which others have their turn.
const PAGE = 1_000

/** What verification reads, and under which key. */
export type Verifier = {
  readonly queries: Queries
  /** Runs something on the database as it is at this instant, whatever is written meanwhile. */
  readonly onSnapshot: <T>(read: (snapshot: Queries) => Promise<T>) => Promise<T>
  readonly sealer: Sealer
  readonly mark: AuditMark
  readonly redact: (text: string) => string
  readonly clock: () => Date
}

/** Reads the whole log and checks each row against the one before it; then all that is derived from it. */
export async function verifyAudit(
  verifier: Verifier,
  anchor: ChainHead | undefined,
  onProgress: (rows: number) => void,
): Promise<Verification> {
  for (;;) {
    const start = await readEnd(verifier.queries, verifier.sealer, 'audit_start')
    const verification = await verifyFrom(verifier, start, anchor, onProgress)
    const startNow = await readEnd(verifier.queries, verifier.sealer, 'audit_start')
    // Rows that were pruned meanwhile look as if they had been removed.
    if (verification.flaw === undefined || startNow?.id === start?.id) return verification
  }
}

async function verifyFrom(
  verifier: Verifier,
  start: ChainHead | undefined,
  anchor: ChainHead | undefined,
  onProgress: (rows: number) => void,
): Promise<Verification> {
  const { queries, onSnapshot, sealer, mark } = verifier
  const first = start ?? CHAIN_START
  if (anchor !== undefined && anchor.id < first.id)
    throw new GitgateError('invalid', `event ${anchor.id} was pruned; the log starts after event ${first.id}`)
  const noted = mark.read()
  const anchors = [anchor, noted].filter((one) => one !== undefined && one.id > first.id) as ChainHead[]
  const walk = new LogWalk(new ChainWalk(first, anchors), new DerivedState(first, verifier), onProgress)
  try {
    await walk.state.begin(queries)
    // Most rows without a snapshot: one that is held for long keeps the write-ahead log from being emptied.
    const flaw = await walk.toEnd(queries)
    return await onSnapshot(async (snapshot) => {
      const rest = flaw ?? (await walk.toEnd(snapshot))
      const head = await readEnd(snapshot, sealer, 'audit_head')
      const { last } = walk.chain
      const chainFlaw: Flaw | undefined =
        rest ?? (start === undefined || head === undefined ? { kind: 'ends-changed' } : walk.chain.end(head))
      const isMarkMissing = noted === undefined && last.id > 0
      const flaws = chainFlaw ?? (isMarkMissing ? ({ kind: 'mark-missing', path: mark.path } as const) : undefined)
      return {
        rows: last.id - first.id,
        first,
        head: head ?? last,
        flaw: flaws ?? (await walk.state.end(snapshot, last)),
      }
    })
  } finally {
    walk.state.close()
  }
}

/** Follows the rows of the log, which can grow meanwhile. */
class LogWalk {
  readonly chain: ChainWalk
  readonly state: DerivedState
  readonly #onProgress: (rows: number) => void
  // From the very first row: one that stands before the beginning was put there.
  #after = Number.MIN_SAFE_INTEGER
  #count = 0
  #noted: ChainFlaw | undefined

  constructor(chain: ChainWalk, state: DerivedState, onProgress: (rows: number) => void) {
    this.chain = chain
    this.state = state
    this.#onProgress = onProgress
  }

  /** Reads to the last row. @returns the first flaw */
  async toEnd(queries: Queries): Promise<ChainFlaw | undefined> {
    for (;;) {
      const rows = await queries
        .selectFrom('audit_events')
        .select(AUDIT_COLUMNS)
        .where('id', '>', this.#after)
        .orderBy('id')
        .limit(PAGE)
        .execute()
      for (const row of rows) {
        const flaw = this.chain.take(linkOf(row))
        if (flaw !== undefined) return this.#noted ?? flaw
        if (row.action === 'audit.ends_changed') this.#noted ??= { kind: 'noted', id: row.id }
        await this.state.take(queries, row)
        this.#after = row.id
      }
      this.#count += rows.length
      this.#onProgress(this.#count)
      if (rows.length === 0) return this.#noted
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
