import type { FailedPrincipal, Identity } from '../../domain/access/authenticate.js'
import { accountOf } from '../../domain/access/authenticate.js'
import type { AuditDecision, AuditEvent, RefChange } from '../../domain/audit/event.js'
import { requestActor } from '../../domain/audit/event.js'
import type { AuditRecorder } from '../../domain/audit/recorder.js'
import { mapInSlices } from '../../core/event-loop.js'
import type { RequestContext, RequestRecord } from '../../core/http.js'
import type { ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { PushCommand } from '../../protocol/push-head.js'
import type { PushReport, RefRefusal } from '../../protocol/push-report.js'
import { refusedRef } from '../../protocol/push-report.js'

/** Writes the audit events of Git requests. */
export type AuditPort = Pick<AuditRecorder, 'note' | 'noteRefusal' | 'write'>

type Parts = Pick<AuditEvent, 'action' | 'decision' | 'refs' | 'details'>

// So that refs that don't change don't fill the disk: 80,000 commands are 221 KB of gzip, and 10 MB in the audit log.
const MAX_UNCHANGED_REFS = 1_000
// A name may have 1 KiB.
const MAX_UNCHANGED_BYTES = 64 * 1024

/**
 * Writes the audit events of one Git request: one when it has ended, or two for a push that the backend gets, before and
 * after, which are on the disk before anything else is done.
 */
export class GitAudit {
  readonly #context: RequestContext
  readonly #request: GitRequest | undefined
  readonly #audit: AuditPort
  readonly #now: () => Date
  #principal: FailedPrincipal | undefined
  #isUnauthenticated = false
  #listsRefs = false
  /** The rule that allowed the push; the log's may become the one that refused a part of it. */
  #rule: string | undefined
  #commands: readonly PushCommand[] = []
  #push: 'requested' | 'accepted' | 'done' = 'requested'

  /** @param request `undefined` if it is none of the smart protocol */
  constructor(request: GitRequest | undefined, context: RequestContext, audit: AuditPort, now: () => Date) {
    this.#context = context
    this.#request = request
    this.#audit = audit
    this.#now = now
    context.onEnd(() => this.#end())
  }

  /** Records who makes the request. */
  authenticated(identity: Identity): void {
    const account = accountOf(identity)
    if (account !== undefined)
      this.#principal = { account, token: identity.kind === 'token' ? identity.token : undefined }
  }

  /** Records whose credentials were refused. */
  authenticationFailed(principal: FailedPrincipal | undefined): void {
    this.#isUnauthenticated = true
    this.#principal = principal
  }

  /** Notes that a request to upload-pack only lists refs. */
  listsRefs(): void {
    this.#listsRefs = true
  }

  /** Notes the commands of a push. */
  pushes(commands: readonly PushCommand[]): void {
    this.#commands = commands
    this.#rule = this.#context.record.rule
  }

  /**
   * Writes that the backend is about to get a push.
   *
   * @param refusals the refs that are refused
   * @param creates whether it creates its repository
   * @throws what the store throws: then the backend must not get it
   */
  async pushAccepted(refusals: readonly RefRefusal[], creates: boolean): Promise<void> {
    const refused = new Set(refusals.map(({ command }) => command))
    const accepted = this.#commands.filter((command) => !refused.has(command))
    const refs = await mapInSlices(accepted, changeOf)
    const details = unlessEmpty({
      ...(creates ? { creates } : {}),
      ...rejectedDetails(refusals.map(refusalOf)),
    })
    await this.#audit.write(this.#event({ action: 'git.push', decision: 'allowed', refs, details }))
    this.#push = 'accepted'
  }

  /**
   * Writes how a push ended that was passed to the backend.
   *
   * @param report the backend's; `undefined` if it sent none
   * @param refusals by the gate, in addition to the backend's
   */
  async pushEnded(
    outcome: ServeOutcome,
    report: PushReport | undefined,
    refusals: readonly RefRefusal[] = [],
  ): Promise<void> {
    if (this.#push !== 'accepted') return
    this.#push = 'done'
    const event = this.#event(await this.#outcome(outcome, report, refusals))
    // The first event is on the disk. If this one can't be written now, it is written later.
    await this.#audit.write(event).catch(() => this.#audit.note(event))
  }

  /** Writes that a push is refused as a whole, before the client learns it. */
  async pushRefused(): Promise<void> {
    this.#push = 'done'
    const event = this.#event({ action: 'git.push', decision: 'refused', ...this.#unchangedRefs() })
    await this.#audit.write(event).catch(() => this.#audit.note(event))
  }

  async #outcome(
    outcome: ServeOutcome,
    report: PushReport | undefined,
    refusals: readonly RefRefusal[],
  ): Promise<Parts> {
    const action = 'git.pushed'
    if (outcome.kind !== 'answered' || report === undefined) {
      const reason = 'reason' in outcome ? outcome.reason : outcome.kind
      const { record } = this.#context
      const isOver = record.decision === 'revoked' || record.decision === 'aborted'
      const decision = isOver ? decisionOf(record) : outcome.kind === 'answered' ? 'allowed' : 'failed'
      const details = { refs: 'unknown', ...(outcome.kind === 'answered' ? {} : { reason }) }
      return { action, decision, refs: await mapInSlices(this.#commands, changeOf), details }
    }
    const { unpack } = report
    const accepted = acceptedRefs(report)
    const moved = this.#commands.filter(({ refBytes }) => accepted.has(refBytes.toString('latin1')))
    const rejected = [...refusals.map(refusalOf), ...rejectedRefs(report)]
    return {
      action,
      decision: unpack === 'ok' && moved.length > 0 ? 'allowed' : 'refused',
      refs: await mapInSlices(moved, changeOf),
      details: unlessEmpty({
        ...(unpack === 'ok' ? {} : { unpack }),
        ...rejectedDetails(rejected),
      }),
    }
  }

  #end(): void {
    const { record } = this.#context
    const isPush = this.#request?.service === 'git-receive-pack' && this.#request.phase === 'rpc'
    // A push that the backend got isn't over with its connection: the backend may still carry it out.
    if (isPush && this.#push !== 'requested') return
    const decision = decisionOf(record)
    const { refs, details } = isPush ? this.#unchangedRefs() : { refs: null, details: null }
    // Before a chunked push, git probes with a single flush whether it may push.
    const isProbe = isPush && decision === 'allowed' && this.#commands.length === 0
    const event = this.#event({ action: this.#action(), decision, refs, details: isProbe ? { probe: true } : details })
    if (decision === 'refused' && !isPush) this.#audit.noteRefusal(event)
    else this.#audit.note(event)
  }

  /** The refs of a push that the backend didn't get. */
  #unchangedRefs(): Pick<Parts, 'refs' | 'details'> {
    const first = firstUnchanged(this.#commands)
    const more = this.#commands.length - first.length
    return { refs: first.map(changeOf), details: more > 0 ? { more_refs: more } : null }
  }

  #action(): AuditEvent['action'] {
    if (this.#isUnauthenticated || this.#request === undefined) return 'auth.refused'
    const { service, phase } = this.#request
    if (phase === 'advertisement' || this.#listsRefs) return 'git.refs'
    if (service === 'git-upload-pack') return 'git.fetch'
    return 'git.push'
  }

  #event({ action, decision, refs, details }: Parts): AuditEvent {
    const { record, traffic } = this.#context
    const { account, token } = this.#principal ?? {}
    const { bytesIn, bytesOut } = traffic()
    const actor = requestActor('git', this.#context, account, token)
    // Spreading the actor costs 4 % of a cached request (measured): V8 makes room for the other properties again and again.
    return {
      at: this.#now(),
      action,
      decision,
      rule: (decision === 'allowed' ? this.#rule : undefined) ?? record.rule ?? record.reason ?? null,
      via: actor.via,
      operator: actor.operator,
      accountId: actor.accountId,
      username: actor.username,
      tokenId: actor.tokenId,
      impersonator: token?.impersonation === true ? token.issuedBy : null,
      ip: actor.ip,
      userAgent: actor.userAgent,
      requestId: actor.requestId,
      repository: record.repository ?? null,
      service: this.#request?.service ?? null,
      refs,
      bytesIn,
      bytesOut,
      target: null,
      details,
    }
  }
}

/** The stored word: audit events keep `cut`, which the log calls `revoked`. */
function decisionOf({ decision }: RequestRecord): AuditDecision {
  if (decision === 'served') return 'allowed'
  return decision === 'revoked' ? 'cut' : (decision ?? 'refused')
}

function unlessEmpty<T extends object>(details: T): T | null {
  return Object.keys(details).length === 0 ? null : details
}

function changeOf({ ref, oldId, newId }: PushCommand): RefChange {
  return { ref, old: oldId, new: newId }
}

function refusalOf({ command, reason }: RefRefusal): { ref: string; reason: string } {
  return { ref: command.ref, reason }
}

/** The first of refs that don't change, as many as an event lists. */
function firstUnchanged<T extends { readonly ref: string; readonly reason?: string }>(
  refs: readonly T[],
): readonly T[] {
  let bytes = 0
  const fits = ({ ref, reason = '' }: T): boolean =>
    (bytes += Buffer.byteLength(ref) + Buffer.byteLength(reason)) <= MAX_UNCHANGED_BYTES
  const first = refs.slice(0, MAX_UNCHANGED_REFS)
  const end = first.findIndex((ref) => !fits(ref))
  return end === -1 ? first : first.slice(0, end)
}

function rejectedDetails(refs: readonly { ref: string; reason: string }[]): Record<string, unknown> {
  if (refs.length === 0) return {}
  const rejected = firstUnchanged(refs)
  const more = refs.length - rejected.length
  return { rejected, ...(more > 0 ? { more_rejected: more } : {}) }
}

/** The refs that a report has an `ok` for, byte by byte. */
function acceptedRefs({ lines }: PushReport): Set<string> {
  const texts = lines.map((line) => line.toString('latin1').replace(/\n$/, ''))
  return new Set(texts.filter((text) => text.startsWith('ok ')).map((text) => text.slice('ok '.length)))
}

function rejectedRefs({ lines }: PushReport): { ref: string; reason: string }[] {
  return lines.flatMap((line) => {
    const { ref, reason } = refusedRef(line) ?? {}
    const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString()
    return ref === undefined || reason === undefined ? [] : [{ ref: utf8(ref), reason: utf8(reason) }]
  })
}
