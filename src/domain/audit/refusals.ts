import type { AuditEvent } from './event.js'

// More kinds of refusals than this within a minute are somebody who tries addresses or names out.
const MAX_KINDS = 1_000
const OTHERS = 'others'
// They are of many.
const NOBODY_IN_PARTICULAR = { accountId: null, username: null, tokenId: null, ip: null, repository: null }

/**
 * Keeps refusals that repeat from filling the disk: the first of a kind is told at once, the others as one row that says
 * how often. A kind is the same address, account, token, repository, service and rule.
 */
export class Refusals {
  #kinds = new Map<string, { event: AuditEvent; more: number }>()

  /** @returns whether it is the first of its kind */
  isFirst(event: AuditEvent): boolean {
    const own = kindOf(event)
    const isOther = !this.#kinds.has(own) && this.#kinds.size >= MAX_KINDS
    const key = isOther ? OTHERS : own
    const known = this.#kinds.get(key)
    const kept = isOther ? { ...event, ...NOBODY_IN_PARTICULAR } : event
    const before = known?.more ?? (isOther ? 0 : -1)
    this.#kinds.set(key, { event: kept, more: before + 1 })
    return known === undefined && !isOther
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
