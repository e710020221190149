import type { Actor, AuditEvent, Authority } from '../domain/audit/event.js'
import { auditEvent } from '../domain/audit/event.js'
import type { Clock } from '../core/clock.js'
import { GitgateError } from '../core/errors.js'
import type { AuditWriter } from './audit-writer.js'
import type { Queries } from './database.js'
import { atomically, urgently } from './database.js'
import type { DiskSpace } from './disk-space.js'

/** A change, as the trail tells it. */
export type Change = Pick<AuditEvent, 'action'> &
  Partial<Pick<AuditEvent, 'target' | 'details' | 'repository' | 'rule' | 'decision'>>

/** How the stores tell what they change, in the same transaction, and on whose behalf. */
export type Trail = {
  readonly actor: Actor
  readonly clock: Clock
  /** Where it is given, each change requires that it still holds. */
  readonly authority: Authority | undefined
  /** For changes that must not fail on a full disk. */
  readonly disk: DiskSpace
  /** Adds a change to the trail. */
  record(transaction: Queries, change: Change): Promise<void>
}

/** The trail of one actor. */
export function trailOf(
  actor: Actor,
  authority: Authority | undefined,
  { writer, clock, disk }: { readonly writer: AuditWriter; readonly clock: Clock; readonly disk: DiskSpace },
): Trail {
  return {
    actor,
    clock,
    authority,
    disk,
    record: (transaction, change) => writer.append(transaction, [auditEvent(actor, clock(), change)]),
  }
}

/**
 * Runs an actor's change in one transaction: the one that is under way, or a new one.
 *
 * @throws GitgateError `forbidden` when what entitled the actor to it has ended since; then nothing was changed
 */
export async function applyChange<T>(
  queries: Queries,
  trail: Trail,
  changes: (transaction: Queries) => Promise<T>,
): Promise<T> {
  return await atomically(queries, authorized(queries, trail, changes))
}

/** The same for a change that takes a right away: it works on a full disk, too. */
export async function applyRevocation<T>(
  queries: Queries,
  trail: Trail,
  changes: (transaction: Queries) => Promise<T>,
): Promise<T> {
  return await urgently(queries, trail.disk, authorized(queries, trail, changes))
}

function authorized<T>(queries: Queries, trail: Trail, changes: (transaction: Queries) => Promise<T>) {
  return async (transaction: Queries): Promise<T> => {
    // Within another change it was checked before, and that one may be what ends it.
    if (!queries.isTransaction && trail.authority !== undefined)
      await requireAuthority(transaction, trail.authority, trail)
    return await changes(transaction)
  }
}

async function requireAuthority(transaction: Queries, authority: Authority, { clock }: Trail): Promise<void> {
  if (authority.kind === 'session') {
    const session = await transaction
      .selectFrom('sessions')
      .select('id')
      .where('id', '=', authority.id)
      .where('signed_in_by', 'is not', null)
      .executeTakeFirst()
    if (session === undefined)
      throw new GitgateError('forbidden', 'your session ended in the meantime; nothing was changed, sign in again')
    return
  }
  const token = await transaction
    .selectFrom('personal_access_tokens as token')
    .innerJoin('accounts as owner', 'owner.id', 'token.user_id')
    .select(['token.revoked_at', 'owner.state', 'owner.admin'])
    .where('token.id', '=', authority.id)
    .executeTakeFirst()
  const isRevoked = token === undefined || (token.revoked_at !== null && token.revoked_at <= clock().getTime())
  if (isRevoked || token.state !== 'active' || (authority.admin && token.admin !== 1))
    throw new GitgateError('forbidden', 'the token lost this right in the meantime; nothing was changed')
}
