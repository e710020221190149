import { hash } from 'node:crypto'

/** A place in the chain: a row's number, and the hash of it and all before it. */
export type ChainHead = { readonly id: number; readonly hash: string }

/** Where a chain begins: before the first row. */
export const CHAIN_START: ChainHead = { id: 0, hash: '0'.repeat(64) }

/** A head as it is kept elsewhere: `12:9f86d0…`. */
export function formatHead({ id, hash }: ChainHead): string {
  return `${id}:${hash}`
}

/** Reads a head as {@link formatHead} wrote it. @returns `undefined` for anything else */
export function parseHead(text: string): ChainHead | undefined {
  const [, id, hash] = /^\s*(\d{1,15}):([0-9a-f]{64})\s*$/.exec(text) ?? []
  return id === undefined || hash === undefined ? undefined : { id: Number(id), hash }
}

/** The values of a row in the order of its columns, but for the hash. */
export type ChainedValues = readonly (string | number | null)[]

/** A row as the chain sees it. */
export type Link = ChainHead & { readonly values: ChainedValues }

/** The hash of a row: SHA-256 over the hash of the row before it, a line feed, and its values as JSON. */
export function linkHash(previous: string, values: ChainedValues): string {
  // JSON knows no infinity, and would take it for nothing.
  const finite = values.map((value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value))
  return hash('sha256', `${previous}\n${JSON.stringify(finite)}`)
}

/** What is wrong with a chain. Rows are named by their number; the first is what counts. */
export type ChainFlaw =
  /** A row is not what was written there: it was changed, moved or put in. */
  | { readonly kind: 'changed'; readonly id: number }
  /** Rows are missing, from one to another. */
  | { readonly kind: 'removed'; readonly id: number; readonly to: number }
  /** A row stands where none was written. */
  | { readonly kind: 'added'; readonly id: number }
  /** The rows fit each other, but not the head that is kept elsewhere: all from somewhere on was written anew. */
  | { readonly kind: 'rewritten'; readonly id: number }
  /** What is kept about the chain's ends is not what the gate wrote. */
  | { readonly kind: 'ends-changed' }
  /** The gate found so, and noted it in a row. */
  | { readonly kind: 'noted'; readonly id: number }

/** Follows a chain row by row. */
export class ChainWalk {
  #last: ChainHead
  readonly #anchors: readonly ChainHead[]

  /**
   * @param start what the first row follows
   * @param anchors heads that were kept elsewhere, which the chain must hold
   */
  constructor(start: ChainHead, anchors: readonly ChainHead[] = []) {
    this.#last = start
    this.#anchors = anchors
  }

  /** The last row that was right. */
  get last(): ChainHead {
    return this.#last
  }

  /** Takes the next row. @returns what is wrong with it */
  take({ id, hash: given, values }: Link): ChainFlaw | undefined {
    const expected = this.#last.id + 1
    if (id < expected) return { kind: 'added', id }
    if (id > expected) return { kind: 'removed', id: expected, to: id - 1 }
    if (given !== linkHash(this.#last.hash, values)) return { kind: 'changed', id }
    if (this.#anchors.some((anchor) => anchor.id === id && anchor.hash !== given)) return { kind: 'rewritten', id }
    this.#last = { id, hash: given }
    return undefined
  }

  /** Ends the walk. @param head the chain's, as the gate signed it. @returns what is wrong with its end */
  end(head: ChainHead): ChainFlaw | undefined {
    const wanted = Math.max(head.id, ...this.#anchors.map(({ id }) => id))
    if (this.#last.id < wanted) return { kind: 'removed', id: this.#last.id + 1, to: wanted }
    if (this.#last.id > head.id) return { kind: 'added', id: head.id + 1 }
    return this.#last.hash === head.hash ? undefined : { kind: 'rewritten', id: head.id }
  }
}
