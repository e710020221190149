import { CHAIN_START } from '../domain/audit/chain.js'
import { repairCarried } from './audit-carried.js'
import { lastRow, readEnd } from './audit-ends.js'
import type { AuditMark } from './audit-mark.js'
import { rebuildNames } from './audit-names.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'
import { rebuildUses } from './token-uses.js'
import type { AuditContext } from '../domain/audit/event.js'
import type { AuditedChanges } from './audited-changes.js'

/** What a repair needs beside the database. */
export type RepairParts = {
  readonly sealer: Sealer
  readonly mark: AuditMark
  readonly redact: (text: string) => string
}

/** Makes what is derived from the log anew, and notes its head beside the database, whatever is noted there. */
export async function repairAudit(
  queries: Queries,
  { sealer, mark, redact }: RepairParts,
  changes: AuditedChanges,
  context: AuditContext,
): Promise<void> {
  await changes.apply(context, async ({ transaction, record }) => {
    const start = (await readEnd(transaction, sealer, 'audit_start')) ?? CHAIN_START
    await rebuildNames(transaction)
    await rebuildUses(transaction)
    const carried = await repairCarried(transaction, start, redact)
    const details = { mark: mark.read()?.id ?? null, ...(carried === undefined ? {} : { carried }) }
    await record({ action: 'audit.repaired', details })
  })
  mark.write((await readEnd(queries, sealer, 'audit_head')) ?? (await lastRow(queries)))
}
