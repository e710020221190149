import type { AuditEvent } from './event.js'

// More kinds of refusals than this within a minute are somebody who tries addresses or names out.
const MAX_KINDS = 1_000

/**
 * Keeps refusals that repeat from filling the disk: the first of a kind is told at once, the others as one row that says
 * how often. A kind is the same address, account, token, repository, service and rule.
 */
export class Refusals {
  #kinds = new Map<string, { event: AuditEvent; more: number }>()

  /** @returns whether it is the first of its kind */
  isFirst(event: AuditEvent): boolean {
    const key = this.#kinds.size < MAX_KINDS ? kindOf(event) : 'others'
    const known = this.#kinds.get(key)
    this.#kinds.set(key, { event, more: known === undefined ? 0 : known.more + 1 })
    return known === undefined
  }

  /** Forgets all kinds. @returns what repeated, each once */
  take(): AuditEvent[] {
    const repeated = [...this.#kinds.values()].filter(({ more }) => more > 0)
    this.#kinds = new Map()
    return repeated.map(({ event, more }) => ({ ...event, details: { ...event.details, repeated: more } }))
  }
}

function kindOf({ action, rule, ip, username, tokenId, repository, service }: AuditEvent): string {
  return JSON.stringify([action, rule, ip, username, tokenId, repository, service])
}
