import type { Clock } from '../core/clock.js'
import { GitgateError } from '../core/errors.js'
import type { Actor, AuditContext, AuditEvent, Authority } from '../domain/audit/event.js'
import { auditEvent } from '../domain/audit/event.js'
import type { AuditWriter } from './audit-rows.js'
import type { Queries, WriteQueue } from './database.js'
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
  readonly #queue: Pick<WriteQueue, 'run'>
  readonly #disk: DiskSpace
  readonly #writer: AuditWriter
  readonly #clock: Clock

  constructor(queue: Pick<WriteQueue, 'run'>, disk: DiskSpace, writer: AuditWriter, clock: Clock) {
    this.#queue = queue
    this.#disk = disk
    this.#writer = writer
    this.#clock = clock
  }

  /**
   * Makes a change.
   *
   * @param work runs again from its start if the transaction was not committed
   * @throws GitgateError `store` if the database stays locked, `disk-full`, or `forbidden` if the actor's authority has ended since;
   * then nothing was changed
   */
  async apply<T>(context: AuditContext, work: (change: Change) => Promise<T>): Promise<T> {
    return await this.#queue.run('ordinary', (transaction) => this.#run(transaction, context, work))
  }

  /**
   * Makes a change that takes a right away, before the others that wait. On a full disk it uses the reserve.
   *
   * @throws GitgateError `store` if the database stays locked, or `disk-full` if nothing is left of the reserve; then nothing was
   * changed
   */
  async revoke<T>(context: AuditContext, work: (change: Change) => Promise<T>): Promise<T> {
    for (let isRetry = false; ; isRetry = true) {
      try {
        return await this.#queue.run('urgent', (transaction) => {
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

  /** Writes what needs no audit event, such as a last use. @throws GitgateError as {@link apply} */
  async write<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    return await this.#queue.run('ordinary', work)
  }

  async #run<T>(
    transaction: Queries,
    { actor, authority }: AuditContext,
    work: (change: Change) => Promise<T>,
  ): Promise<T> {
    const at = this.#clock()
    if (authority !== undefined) await requireAuthority(transaction, authority, at)
    const record = (event: ChangeEvent) =>
      this.#writer.append(transaction, [this.#writer.prepare(auditEvent(actor, at, event))])
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
