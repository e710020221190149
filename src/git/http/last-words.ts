import type { Identity } from '../../domain/access/authenticate.js'
import type { RequestContext } from '../../core/http.js'

// With the half second in which a change is seen, within the two seconds that are promised.
const GRACE = 1_200

/**
 * How an exchange ends that is no longer allowed: with words to its user where the answer has room for them, and with a
 * reset of the connection where it has none, or where the client does not take them in time.
 */
export class LastWords {
  #say: ((text: string) => boolean) | undefined

  /**
   * From now on words can be said.
   *
   * @param say ends the answer with a text; returns false where it can't
   */
  through(say: (text: string) => boolean): void {
    this.#say = say
  }

  /** @param rule by which it is no longer allowed */
  end(rule: string, identity: Identity, { request, response, record, reset }: RequestContext): void {
    if (record.decision === 'revoked') return
    record.decision = 'revoked'
    record.rule = rule
    if (this.#say?.(describe(rule, identity)) !== true) {
      reset()
      return
    }
    const { socket } = request
    const timer = setTimeout(reset, GRACE)
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
