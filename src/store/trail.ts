import type { Actor, AuditEvent } from '../audit/event.js'
import { auditEvent } from '../audit/event.js'
import type { Clock } from '../clock.js'
import type { AuditWriter } from './audit-writer.js'
import type { Queries } from './database.js'

/** A change, as the trail tells it. */
export type Change = Pick<AuditEvent, 'action'> &
  Partial<Pick<AuditEvent, 'target' | 'details' | 'repository' | 'rule' | 'decision'>>

/** How the stores tell what they change, in the same transaction, and on whose behalf. */
export type Trail = {
  readonly actor: Actor
  readonly clock: Clock
  /** Adds a change to the trail. */
  record(transaction: Queries, change: Change): Promise<void>
}

/** The trail of one actor. */
export function trailOf(actor: Actor, writer: AuditWriter, clock: Clock): Trail {
  return {
    actor,
    clock,
    record: (transaction, change) => writer.append(transaction, [auditEvent(actor, clock(), change)]),
  }
}
