import type { Clock } from '../core/clock.js'
import { GitgateError } from '../core/errors.js'
import type { Actor, AuditContext, AuditEvent, Authority } from '../domain/audit/event.js'
import { auditEvent } from '../domain/audit/event.js'
import type { AuditWriter } from './audit-row.js'
import type { Queries } from './database.js'
import type { DiskSpace } from './disk-space.js'
import { isDiskFull } from './disk-space.js'

/** A change under way. */
export type Change = {
  readonly transaction: Queries
  readonly actor: Actor
  /** When the change is made. */
  readonly at: Date
  /** Writes the audit event of the change in its transaction. */
  readonly record: (event: ChangeEvent) => Promise<void>
}

/** What the audit event of a change says, beside who made it and when. */
export type ChangeEvent = Pick<AuditEvent, 'action'> &
  Partial<Pick<AuditEvent, 'target' | 'details' | 'repository' | 'rule' | 'decision'>>

/** Makes changes: each in one transaction with its audit events, so that neither is stored without the other. */
export class AuditedChanges {
  readonly #queries: Queries
  readonly #disk: DiskSpace
  readonly #writer: AuditWriter
  readonly #clock: Clock

  constructor(queries: Queries, disk: DiskSpace, writer: AuditWriter, clock: Clock) {
    this.#queries = queries
    this.#disk = disk
    this.#writer = writer
    this.#clock = clock
  }

  /**
   * Makes a change.
   *
   * @throws GitgateError `disk-full`, or `forbidden` if the actor's authority has ended since; then nothing was changed
   */
  async apply<T>(context: AuditContext, work: (change: Change) => Promise<T>): Promise<T> {
    return await this.#queries.transaction().execute((transaction) => this.#run(transaction, context, work))
  }

  /**
   * Makes a change that takes a right away. On a full disk it uses the reserve.
   *
   * @throws GitgateError `disk-full` if nothing is left of that either; then nothing was changed
   */
  async revoke<T>(context: AuditContext, work: (change: Change) => Promise<T>): Promise<T> {
    for (let isRetry = false; ; isRetry = true) {
      try {
        return await this.#queries.transaction().execute((transaction) => {
          this.#disk.isUrgent = true
          // Within the transaction, where nobody else can write to the database.
          if (isRetry) this.#disk.release()
          return this.#run(transaction, context, work)
        })
      } catch (error) {
        if (!isDiskFull(error) || !this.#disk.hasReserve()) throw error
      }
    }
  }

  async #run<T>(
    transaction: Queries,
    { actor, authority }: AuditContext,
    work: (change: Change) => Promise<T>,
  ): Promise<T> {
    const at = this.#clock()
    if (authority !== undefined) await requireAuthority(transaction, authority, at)
    const record = (event: ChangeEvent) => this.#writer.append(transaction, [auditEvent(actor, at, event)])
    return await work({ transaction, actor, at, record })
  }
}

/** For changes that need no authority. */
export function withoutAuthority({ actor }: AuditContext): AuditContext {
  return { actor }
}

async function requireAuthority(transaction: Queries, authority: Authority, now: Date): Promise<void> {
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
  const isRevoked = token === undefined || (token.revoked_at !== null && token.revoked_at <= now.getTime())
  if (isRevoked || token.state !== 'active' || (authority.admin && token.admin !== 1))
    throw new GitgateError('forbidden', 'the token lost this right in the meantime; nothing was changed')
}
