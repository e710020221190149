import type { DecidedPush } from '../../domain/access/decide-ref.js'
import type { Identity } from '../../domain/access/authenticate.js'
import { accountOf, pushesSomeRefsOnly } from '../../domain/access/authenticate.js'
import type { Refusal } from '../../domain/access/refusal.js'
import { describeRefusal } from '../../domain/access/refusal.js'
import type { RequestContext } from '../../core/http.js'
import type { BackendRequest, Fault, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { SmartHttpOptions } from './refusal-response.js'
import { refuse } from './refusal-response.js'
import type { GitResponse } from './git-response.js'
import type { TerminalMessage } from './terminal-message.js'
import type { GitAudit } from './git-audit.js'

/** A request that was let in. */
export type AuthorizedRequest = {
  readonly request: GitRequest
  readonly identity: Identity
  /** Whether the repository is to be created first. */
  readonly creates: boolean
  readonly context: RequestContext
  readonly options: SmartHttpOptions
  readonly terminalMessage: TerminalMessage
  readonly audit: GitAudit
  /** Whether it still is let in; where it is not, it has been cut. To be asked after every wait for the client. */
  readonly isStillAllowed: () => Promise<boolean>
  /** From now on, what was decided about the refs of a push must still hold, too. */
  readonly keepDeciding: (push: DecidedPush) => void
}

/** An answer that can be ended with a text. */
export type Spoken = {
  /** Ends the answer with a text for the user. @returns false where it can't */
  readonly endWith: (text: string) => boolean
}

/** Ends the answer as the backend's outcome says. */
export function finishResponse(
  outcome: ServeOutcome,
  { end, endWith }: Pick<GitResponse, 'end'> & Partial<Spoken>,
  authorized: AuthorizedRequest,
): void {
  const { request, identity, context: context, options } = authorized
  const { record, response, requestId } = context
  const refuseOrSay = (refusal: Refusal): void => {
    if (!response.headersSent) return refuse(refusal, context, options)
    // It was told to wait, so the status is sent: what is to be said goes into the answer.
    record.decision = 'failed'
    if (endWith?.(describeRefusal(refusal, options.baseUrl()).text) !== true) response.destroy()
  }
  // It was ended with words of ours already.
  if (record.decision === 'revoked' || record.decision === 'refused') return
  switch (outcome.kind) {
    case 'answered':
      record.decision = 'served'
      if (outcome.failure !== undefined) record.reason = outcome.failure
      if (outcome.cache !== undefined) record.cache = outcome.cache
      return end()
    case 'missing':
      return accountOf(identity) === undefined
        ? refuseOrSay({ kind: 'credentials-missing' })
        : refuseOrSay({ kind: 'upstream-missing', repository: request.repository })
    case 'broken':
      record.reason = outcome.reason
      record.decision = 'failed'
      response.destroy()
      return
    case 'failed':
      record.reason = outcome.reason
      return refuseOrSay(refusalFor(outcome.fault, requestId))
  }
}

/** Who asks for nothing gets an empty answer; nothing is created for it. */
export function answerNothing(response: ResponseWriter): ServeOutcome {
  response.begin()
  return { kind: 'answered' }
}

/** Who asks, as the backend may know it. */
export function requesterOf(identity: Identity): BackendRequest['requester'] {
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

function refusalFor(fault: Fault, requestId: string): Refusal {
  switch (fault) {
    case 'request':
      return { kind: 'body-malformed' }
    case 'backend':
      return { kind: 'backend-failed', requestId }
    case 'overloaded':
      return { kind: 'overloaded' }
    case 'silence':
      return { kind: 'backend-silent', requestId }
  }
}
