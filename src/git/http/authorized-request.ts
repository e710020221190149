import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { RequestContext } from '../../core/http.js'
import { millisecondsSince } from '../../core/http.js'
import type { Access } from '../../domain/access/access.js'
import type { Identity } from '../../domain/access/authenticate.js'
import { accountOf, pushesSomeRefsOnly } from '../../domain/access/authenticate.js'
import type { DecidedPush } from '../../domain/access/decide.js'
import type { Refusal } from '../../domain/access/refusal.js'
import { describeRefusal } from '../../domain/access/refusal.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  ClientPreferences,
  Requester,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { AuditPort, GitAudit } from './git-audit.js'
import { describeRevocation, GitResponse, refusalFor, refuse } from './git-response.js'

/** The dependencies of the Git handler. */
export type GitHttpDependencies = {
  readonly access: Access
  readonly backend: Backend
  /** Re-authorises active transfers when the security epoch moves. */
  readonly activeTransfers: ActiveTransfers
  readonly audit: AuditPort
  /** Bounds what pushes hold before their packs. */
  readonly pushHeads: PushHeads
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** The realm of the challenge, which credential helpers may show or match on. */
  readonly realm: string
  /** This gate's name in `Via`. */
  readonly pseudonym: string
}

// gitgate sees a change within half a second, so a revoked transfer ends within the two seconds that the docs promise.
const MESSAGE_TIMEOUT_MS = 1_200

/** A request that may be served, for as long as it stays allowed. */
export class AuthorizedRequest {
  readonly identity: Identity
  readonly context: RequestContext
  readonly dependencies: GitHttpDependencies
  readonly audit: GitAudit
  readonly response: GitResponse
  /** The request for the backend, as the client sent it. */
  readonly request: BackendRequest
  /** The security epoch at which it was decided last. */
  #checkedEpoch: number
  #push: DecidedPush | undefined
  /** The check that runs, if any. */
  #check:
    { readonly epoch: number; readonly push: DecidedPush | undefined; readonly result: Promise<boolean> } | undefined
  #creates: boolean
  #isOver = false

  /** @param epoch the security epoch at which it was decided */
  constructor(
    gitRequest: GitRequest,
    { identity, creates, epoch }: { readonly identity: Identity; readonly creates: boolean; readonly epoch: number },
    context: RequestContext,
    dependencies: GitHttpDependencies,
    audit: GitAudit,
  ) {
    this.identity = identity
    this.#creates = creates
    this.context = context
    this.dependencies = dependencies
    this.audit = audit
    this.response = new GitResponse(context, gitRequest)
    this.request = toBackendRequest(gitRequest, context, identity, this.response.signal)
    this.#checkedEpoch = epoch
  }

  /** Whether the repository is still to be created. */
  get creates(): boolean {
    return this.#creates
  }

  get checkedEpoch(): number {
    return this.#checkedEpoch
  }

  get isBeingChecked(): boolean {
    return this.#check !== undefined
  }

  /** Re-authorises the request whenever the security epoch moves. @returns the function that stops that */
  watch(): () => void {
    const { activeTransfers } = this.dependencies
    activeTransfers.add(this)
    return () => {
      this.#isOver = true
      activeTransfers.remove(this)
    }
  }

  /**
   * From now on, the decisions about the refs of a push must still hold, too.
   *
   * @param epoch the security epoch at which the identity was checked, before the refs were decided: that may take seconds
   */
  keepDeciding(push: DecidedPush, epoch: number): void {
    this.#push = push
    this.#checkedEpoch = epoch
  }

  /**
   * Whether the request is still allowed; if not, it has been ended. Call this after each wait for the client, which can hold
   * its body back for hours.
   */
  async isStillAllowed(): Promise<boolean> {
    if (this.context.record.decision === 'revoked') return false
    const epoch = await this.dependencies.access.epoch()
    if (epoch === this.#checkedEpoch) return true
    const push = this.#push
    if (this.#check?.epoch === epoch && this.#check.push === push) return await this.#check.result
    const check = { epoch, push, result: this.#decideAgain(epoch, push) }
    this.#check = check
    return await check.result.finally(() => {
      if (this.#check === check) this.#check = undefined
    })
  }

  async #decideAgain(epoch: number, push: DecidedPush | undefined): Promise<boolean> {
    const rule = await this.dependencies.access.reasonToRevoke(this.request, this.identity, this.#creates, push)
    if (rule !== undefined) {
      this.#revoke(rule)
      return false
    }
    // Refs that were decided meanwhile, perhaps at an earlier epoch, were not looked at here.
    if (this.#push !== push) return await this.isStillAllowed()
    this.#checkedEpoch = epoch
    return true
  }

  /** Creates the repository, if that is still to be done and still allowed. @returns whether the request is still allowed */
  async createRepository(): Promise<boolean> {
    if (!this.#creates) return true
    if (!(await this.isStillAllowed())) return false
    await this.dependencies.backend.creation?.create(this.request.repository)
    this.#creates = false
    return true
  }

  /** Serves the request by a method of the backend. */
  async serve(method: BackendMethod, request: BackendRequest): Promise<void> {
    this.finish(await this.measure(() => method(request, this.response)))
  }

  /** Adds the time that the backend takes to the log. */
  async measure(work: () => Promise<ServeOutcome>): Promise<ServeOutcome> {
    const { record } = this.context
    const started = performance.now()
    const outcome = await work()
    record.backend_ms = (record.backend_ms ?? 0) + millisecondsSince(started)
    return outcome
  }

  /** Ends the response as the backend's outcome says. */
  finish(outcome: ServeOutcome): void {
    const { record, response, requestId } = this.context
    // It was ended with a message already.
    if (record.decision === 'revoked' || record.decision === 'refused') return
    switch (outcome.kind) {
      case 'answered':
        record.decision = 'served'
        if (outcome.failure !== undefined) record.reason = outcome.failure
        if (outcome.cache !== undefined) record.cache = outcome.cache
        return this.response.end()
      case 'missing':
        return accountOf(this.identity) === undefined
          ? this.#refuse({ kind: 'credentials-missing' })
          : this.#refuse({ kind: 'upstream-missing', repository: this.request.repository })
      case 'refused':
        record.reason = outcome.reason
        return this.#refuse(outcome.refusal)
      case 'broken':
        record.reason = outcome.reason
        record.decision = 'failed'
        response.destroy()
        return
      case 'failed':
        record.reason = outcome.reason
        return this.#refuse(refusalFor(outcome.fault, requestId))
    }
  }

  #refuse(refusal: Refusal): void {
    const { record, response } = this.context
    const { baseUrl } = this.dependencies
    if (!response.headersSent) return refuse(refusal, this.context, this.dependencies)
    // Queue progress was sent, and with it the status: the refusal becomes a message in the response.
    record.decision = 'failed'
    if (!this.response.endWith(describeRefusal(refusal, baseUrl()).text)) response.destroy()
  }

  /**
   * Ends a request that is no longer allowed with a message for its user. If the response has no place for one, or the client
   * does not read it in time, the connection is reset.
   */
  #revoke(rule: string): void {
    const { request, response, record, reset } = this.context
    if (record.decision === 'revoked' || this.#isOver) return
    record.decision = 'revoked'
    record.rule = rule
    if (!this.response.endWith(describeRevocation(rule, this.identity))) {
      reset()
      return
    }
    const { socket } = request
    const timer = setTimeout(reset, MESSAGE_TIMEOUT_MS)
    socket.once('close', () => clearTimeout(timer))
    // A client that has read everything closes, too.
    if (response.writableFinished) socket.end()
    else response.once('finish', () => socket.end())
  }
}

/**
 * The transfers in progress, which may take hours. While there are any, the security epoch is polled; when it has moved, each is
 * authorised again, and aborted if it lost its right.
 */
export class ActiveTransfers {
  readonly #readEpoch: () => Promise<number>
  readonly #onError: (error: unknown) => void
  readonly #pollMs: number
  readonly #transfers = new Set<AuthorizedRequest>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param readEpoch reads the security epoch
   * @param onError called when a check fails; the next one follows all the same
   * @param pollMs milliseconds between two checks
   */
  constructor(readEpoch: () => Promise<number>, onError: (error: unknown) => void, pollMs: number) {
    this.#readEpoch = readEpoch
    this.#onError = onError
    this.#pollMs = pollMs
  }

  add(transfer: AuthorizedRequest): void {
    this.#transfers.add(transfer)
    this.#timer ??= setInterval(() => void this.#check(), this.#pollMs).unref()
  }

  remove(transfer: AuthorizedRequest): void {
    this.#transfers.delete(transfer)
    if (this.#transfers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #check(): Promise<void> {
    try {
      const epoch = await this.#readEpoch()
      // One check at a time: those of large pushes take longer than the interval.
      const outdated = [...this.#transfers].filter((one) => one.checkedEpoch !== epoch && !one.isBeingChecked)
      await Promise.all(outdated.map((transfer) => transfer.isStillAllowed()))
    } catch (error) {
      this.#onError(error)
    }
  }
}

/** Heads up to this length, some 700 commands, are always accepted. */
const FREE_HEAD_BYTES = 65_536
// Two of the longest, or 140,000 refs. A head takes 1.6 times its length until its push ends, which the client may delay for hours.
const MAX_ACCOUNT_HEAD_BYTES = 16 * 1_048_576
// A client that sends 16 kB/s finishes, even if half of its connection is lost on something else.
const MIN_HEAD_BYTES_PER_SECOND = 8_000

/** Bounds the memory that the heads of pushes take, and the time in which they arrive. */
export class PushHeads {
  readonly #graceMs: number
  /** By account, in bytes. */
  readonly #held = new Map<string, number>()

  /** @param graceMs how long a head may take in any case, in milliseconds */
  constructor(graceMs: number) {
    this.#graceMs = graceMs
  }

  /**
   * Counts a head as it grows, until its request ends.
   *
   * @returns adds bytes; false if the account has too many, and then the head no longer counts
   */
  hold(account: string, { onEnd }: Pick<RequestContext, 'onEnd'>): (bytes: number) => boolean {
    let own = 0
    const add = (bytes: number): number => {
      own += bytes
      const sum = (this.#held.get(account) ?? 0) + bytes
      if (sum === 0) this.#held.delete(account)
      else this.#held.set(account, sum)
      return sum
    }
    onEnd(() => add(-own))
    return (bytes) => {
      const isHeld = add(bytes) <= MAX_ACCOUNT_HEAD_BYTES || own <= FREE_HEAD_BYTES
      if (!isHeld) add(-own)
      return isHeld
    }
  }

  /** A signal that is aborted once a head is late. @returns it, and what ends the watch */
  deadline({ traffic }: Pick<RequestContext, 'traffic'>): { readonly signal: AbortSignal; readonly end: () => void } {
    const late = new AbortController()
    const started = performance.now()
    const check = (): void => {
      const allowedMs = this.#graceMs + (1_000 * traffic().bytesIn) / MIN_HEAD_BYTES_PER_SECOND
      const leftMs = started + allowedMs - performance.now()
      if (leftMs <= 0) late.abort()
      else timer = setTimeout(check, leftMs).unref()
    }
    let timer = setTimeout(check, this.#graceMs).unref()
    return { signal: late.signal, end: () => clearTimeout(timer) }
  }
}

// `version=2`, perhaps with other keys after a colon (Git's documentation: protocol-v2, GIT_PROTOCOL).
const GIT_PROTOCOL = /^[a-z0-9.=:_-]{1,255}$/i

/** An HTTP request as a backend gets it. @param signal aborted when the client has left */
function toBackendRequest(
  { repository, service, phase }: GitRequest,
  { request, ip }: RequestContext,
  identity: Identity,
  signal: AbortSignal,
): BackendRequest {
  const length = request.headers['content-length']
  const requester = requesterOf(identity)
  return {
    repository,
    service,
    phase,
    body: request,
    contentEncoding: isGzip(request) ? 'gzip' : undefined,
    contentLength: length === undefined ? undefined : Number(length),
    gitProtocol: gitProtocolOf(request),
    preferences: preferencesOf(request.headers),
    clientAddress: ip,
    requester,
    slotRequest: { account: requester?.username ?? ip, isSmall: phase === 'advertisement' },
    signal,
  }
}

/** What is wrong with the headers of an RPC's body, if anything. */
export function requestContentError(request: IncomingMessage, { service }: GitRequest): Refusal | undefined {
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') return { kind: 'transfer-coding-unknown' }
  const expected = `application/x-${service}-request`
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type !== expected) return { kind: 'content-type-wrong', expected }
  if (!['', 'identity', 'gzip', 'x-gzip'].includes(contentEncoding(request)))
    return { kind: 'content-encoding-unknown' }
  return undefined
}

/** Whether a body is compressed. */
export function isGzip(request: IncomingMessage): boolean {
  return ['gzip', 'x-gzip'].includes(contentEncoding(request))
}

function contentEncoding(request: IncomingMessage): string {
  return (request.headers['content-encoding'] ?? '').trim().toLowerCase()
}

function gitProtocolOf(request: IncomingMessage): string | undefined {
  const header = request.headers['git-protocol']
  return typeof header === 'string' && GIT_PROTOCOL.test(header) ? header : undefined
}

function preferencesOf(headers: IncomingHttpHeaders): ClientPreferences {
  return {
    ...(headers.accept === undefined ? {} : { accept: headers.accept }),
    ...(headers['accept-encoding'] === undefined ? {} : { acceptEncoding: headers['accept-encoding'] }),
    ...(headers['accept-language'] === undefined ? {} : { acceptLanguage: headers['accept-language'] }),
    ...(headers['user-agent'] === undefined ? {} : { userAgent: headers['user-agent'] }),
  }
}

function requesterOf(identity: Identity): Requester | undefined {
  switch (identity.kind) {
    case 'anonymous':
      return undefined
    case 'password':
      return { username: identity.account.username }
    case 'token':
      return {
        username: identity.account.username,
        tokenId: identity.token.id,
        isLimited: pushesSomeRefsOnly(identity),
      }
  }
}
