import type { Identity } from '../../domain/access/authenticate.js'
import type { RequestContext } from '../../core/http.js'

// The change is seen within half a second: together less than the two seconds that are promised.
const GRACE_MS = 1_200

/**
 * Ends a request that is no longer allowed: with a message for its user where the response has room for one. Where it has none, or the
 * client does not read it in time, the connection is reset.
 */
export class TerminalMessage {
  #send: ((text: string) => boolean) | undefined

  /**
   * From now on a message can be sent.
   *
   * @param send ends the response with a text; returns false where it can't
   */
  sendWith(send: (text: string) => boolean): void {
    this.#send = send
  }

  /** @param rule by which it is no longer allowed */
  end(rule: string, identity: Identity, { request, response, record, reset }: RequestContext): void {
    if (record.decision === 'revoked') return
    record.decision = 'revoked'
    record.rule = rule
    if (this.#send?.(describe(rule, identity)) !== true) {
      reset()
      return
    }
    const { socket } = request
    const timer = setTimeout(reset, GRACE_MS)
    socket.once('close', () => clearTimeout(timer))
    // A client that has taken everything closes, too.
    if (response.writableFinished) socket.end()
    else response.once('finish', () => socket.end())
  }
}

function describe(rule: string, identity: Identity): string {
  if (identity.kind === 'token' && rule === 'token revoked') return `token "${identity.token.name}" was revoked`
  return `access has ended: ${rule}`
}
