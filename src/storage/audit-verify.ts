import type { ChainFlaw, ChainHead } from '../domain/audit/chain.js'
import { CHAIN_START, ChainWalk } from '../domain/audit/chain.js'
import type { Flaw } from '../domain/audit/flaw.js'
import type { Verification } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'
import { readEnd } from './signed-heads.js'
import type { AuditCheckpoint } from './signed-heads.js'
import { AUDIT_COLUMNS, linkOf } from './audit-rows.js'
import { DerivedState } from './audit-state.js'
import { checkDatabase } from './database-check.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'

// A few milliseconds; then other work gets a chance.
const PAGE_ROWS = 1_000

/** What verification reads, and the key. */
export type Verifier = {
  /** The path of the database. */
  readonly path: string
  readonly queries: Queries
  /** Reads the database as it is now, whatever is written meanwhile. */
  readonly onSnapshot: <T>(read: (snapshot: Queries) => Promise<T>) => Promise<T>
  readonly sealer: Sealer
  readonly checkpoint: AuditCheckpoint
  readonly redact: (text: string) => string
  readonly clock: () => Date
}

/** Checks the database file, then each row of the log against the one before it, then all that is derived from the log. */
export async function verifyAudit(
  verifier: Verifier,
  anchor: ChainHead | undefined,
  onProgress: (rows: number) => void,
): Promise<Verification> {
  const flaw = await checkDatabase(verifier.path)
  if (flaw !== undefined) return { rows: 0, first: CHAIN_START, head: CHAIN_START, flaw }
  for (;;) {
    const start = await readEnd(verifier.queries, verifier.sealer, 'audit_start')
    const verification = await verifyFrom(verifier, start, anchor, onProgress)
    const startNow = await readEnd(verifier.queries, verifier.sealer, 'audit_start')
    // Rows pruned in the meantime look as if somebody had removed them.
    if (verification.flaw === undefined || startNow?.id === start?.id) return verification
  }
}

async function verifyFrom(
  verifier: Verifier,
  start: ChainHead | undefined,
  anchor: ChainHead | undefined,
  onProgress: (rows: number) => void,
): Promise<Verification> {
  const { queries, onSnapshot, sealer, checkpoint } = verifier
  const first = start ?? CHAIN_START
  if (anchor !== undefined && anchor.id < first.id)
    throw new GitgateError('invalid', `event ${anchor.id} was pruned; the log starts after event ${first.id}`)
  const noted = checkpoint.read()
  const anchors = [anchor, noted].filter((one) => one !== undefined && one.id > first.id) as ChainHead[]
  const walk = new LogWalk(new ChainWalk(first, anchors), new DerivedState(first, verifier), onProgress)
  try {
    await walk.state.begin(queries)
    // Reads most rows without a snapshot: a long-lived one keeps SQLite from emptying the write-ahead log.
    const flaw = await walk.toEnd(queries)
    return await onSnapshot(async (snapshot) => {
      const rest = flaw ?? (await walk.toEnd(snapshot))
      const head = await readEnd(snapshot, sealer, 'audit_head')
      const { last } = walk.chain
      const chainFlaw: Flaw | undefined =
        rest ?? (start === undefined || head === undefined ? { kind: 'ends-changed' } : walk.chain.end(head))
      const isCheckpointMissing = noted === undefined && last.id > 0
      const flaws =
        chainFlaw ??
        (isCheckpointMissing ? ({ kind: 'checkpoint-missing', path: checkpoint.path } as const) : undefined)
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
  // From the very first row, so that one inserted before the beginning is found.
  #after = -Infinity
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
        .limit(PAGE_ROWS)
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
