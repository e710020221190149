import { hash } from 'node:crypto'
import { Writable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type {
  QueueCounts,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
  TransferProgress,
} from '../../protocol/backend.js'
import { PktLineReader } from '../../protocol/pkt-line.js'

/** The object IDs that the latest ref list of a repository showed to an account. */
export type ShownIds = {
  readonly ids: ReadonlySet<string>
  /** A hash of the tags. A pack may contain further tag objects, but no client that wasn't shown them makes refs of them. */
  readonly tags: string
}

const MAX_LISTS = 1_000
// A longer list isn't recorded.
const MAX_LIST_BYTES = 8 * 1_048_576

/**
 * What an upstream has just shown to each account. Behind the gate anything may change at any time, so the cache gives an
 * account only what the upstream has shown to it seconds ago.
 */
export class ShownRefs {
  readonly #lists: LRUCache<string, ShownIds & { readonly digest: string }>

  /** @param ttlMs how long a list is valid, in milliseconds */
  constructor(ttlMs: number) {
    this.#lists = new LRUCache({ max: MAX_LISTS, ttl: ttlMs })
  }

  find(account: string, repository: string): ShownIds | undefined {
    return this.#lists.get(listKey(account, repository))
  }

  /** Starts to record a list that is about to be requested. */
  recorder(account: string, repository: string, client: ResponseWriter): RefListRecorder {
    // What a list shows is as old as its request.
    const start = performance.now()
    return new RefListRecorder(client, (list) => {
      const key = listKey(account, repository)
      const digest = hash('sha256', list)
      const known = this.#lists.peek(key, { allowStale: true })
      // Most lists are the same as before, and parsing 5,000 refs takes 6 ms.
      const shown = known?.digest === digest ? known : parseRefList(list)
      if (shown !== undefined) this.#lists.set(key, { ...shown, digest }, { start })
    })
  }
}

/** Passes a ref list on to the client, and records it if it is complete. */
class RefListRecorder implements ResponseWriter {
  readonly #client: ResponseWriter
  readonly #record: (list: Buffer) => void
  #body: Writable | undefined
  #pieces: Buffer[] = []
  #length = 0

  constructor(client: ResponseWriter, record: (list: Buffer) => void) {
    this.#client = client
    this.#record = record
  }

  begin(head?: ResponseHead): Writable {
    const client = this.#client.begin(head)
    if (head?.contentEncoding !== undefined) return client
    this.#body = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        this.#length += piece.length
        if (this.#length <= MAX_LIST_BYTES) this.#pieces.push(Buffer.from(piece))
        client.write(piece, () => done())
      },
    })
    return this.#body
  }

  onQueued(queue: QueueCounts): void {
    this.#client.onQueued(queue)
  }

  progress(): TransferProgress {
    return this.#client.progress()
  }

  /** Waits until everything has passed to the client, and records the list. */
  async finish(outcome: ServeOutcome, signal: AbortSignal): Promise<void> {
    const body = this.#body
    if (body === undefined || signal.aborted) return
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      body.end(() => resolve())
    })
    const isComplete = outcome.kind === 'answered' && outcome.failure === undefined && body.writableFinished
    if (isComplete && this.#length <= MAX_LIST_BYTES) this.#record(Buffer.concat(this.#pieces))
  }
}

function listKey(account: string, repository: string): string {
  return `${repository} ${account}`
}

/**
 * The object IDs of an advertisement (versions 0 and 1) or of a response to ls-refs, including those that tags are peeled to.
 *
 * @returns `undefined` for an advertisement of version 2, which lists no refs: it must not replace what was just shown to
 *   another client of the account
 */
function parseRefList(list: Buffer): ShownIds | undefined {
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
