import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { PktLineReader } from '../../protocol/pkt-line.js'

/** What the last list of refs of a repository showed to an account. */
export type Shown = {
  readonly ids: ReadonlySet<string>
  /** Of the tags that it showed. Others may come along with a pack, but who was not shown them makes no refs of them. */
  readonly tags: string
}

const REMEMBERED = 1_000
// A list that is longer is not remembered.
const MAX_LIST = 8 * 1_048_576

/**
 * What a server elsewhere has shown to whom, seconds ago. Behind the gate anything may change at any time, so only what it
 * has just shown somebody may be given to them from the cache.
 */
export class ShownRefs {
  readonly #shown: LRUCache<string, Shown & { readonly digest: string }>

  /** @param goodForMs milliseconds for which a list vouches for what it showed */
  constructor(goodForMs: number) {
    this.#shown = new LRUCache({ max: REMEMBERED, ttl: goodForMs })
  }

  find(account: string, repository: string): Shown | undefined {
    return this.#shown.get(keyOf(account, repository))
  }

  /** Watches a list pass, and remembers it. @returns what is to see each piece, and what is to be called at its end */
  watch(account: string, repository: string): { readonly push: (piece: Buffer) => void; readonly end: () => void } {
    // What it shows is as old as its beginning.
    const start = performance.now()
    const pieces: Buffer[] = []
    let length = 0
    return {
      push(piece) {
        length += piece.length
        if (length <= MAX_LIST) pieces.push(Buffer.from(piece))
      },
      end: () => {
        if (length > MAX_LIST) return
        const key = keyOf(account, repository)
        const list = Buffer.concat(pieces)
        const digest = hash('sha256', list)
        const known = this.#shown.peek(key, { allowStale: true })
        // Most lists are as they were, and to read 5,000 refs costs 6 ms.
        const shown = known?.digest === digest ? known : shownBy(list)
        if (shown !== undefined) this.#shown.set(key, { ...shown, digest }, { start })
      },
    }
  }
}

function keyOf(account: string, repository: string): string {
  return `${repository} ${account}`
}

/**
 * The object ids of an advertisement (version 0 and 1) or of the answer to ls-refs, with those that tags are peeled to.
 *
 * @returns `undefined` for an advertisement of version 2, which shows no refs: it must not make those forgotten that were shown
 *   to another client of the account just now
 */
function shownBy(list: Buffer): Shown | undefined {
  const reader = new PktLineReader()
  reader.add(list)
  const ids = new Set<string>()
  const tags: string[] = []
  for (let packet = reader.next(); typeof packet !== 'string'; packet = reader.next()) {
    const line = packet.data.toString('latin1').trimEnd()
    if (line === 'version 2') return undefined
    const [, id, name = ''] = /^([0-9a-f]{40}|[0-9a-f]{64}) ([^\0 ]+)/.exec(line) ?? []
    if (id === undefined) continue
    ids.add(id)
    if (name.startsWith('refs/tags/')) tags.push(line)
  }
  return { ids, tags: hash('sha256', tags.join('\n')) }
}
