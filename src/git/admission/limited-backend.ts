import type { Intervals } from '../../core/intervals.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  QueueCounts,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { SlotResult } from './concurrency-limiter.js'
import { ConcurrencyLimiter } from './concurrency-limiter.js'

/** One limiter for each request class: lists of refs must not wait for clones, nor reads for pushes with a slow sender. */
export type Limiters = { readonly refs: Limiter; readonly packs: Limiter; readonly pushes: Limiter }

export type Limiter = Pick<ConcurrencyLimiter, 'acquire' | 'counts'>

// A push mostly waits for its sender, and costs little in the meantime.
const PUSH_FACTOR = 4

/**
 * Creates the limiters of a gate.
 *
 * @param total git processes for packs at once; as many for lists of refs, and four times as many pushes
 * @param perRepository of them, on one repository
 * @param waiting requests that may queue in each class
 */
export function createLimiters(total: number, perRepository: number, waiting: number): Limiters {
  const limiter = (factor: number): ConcurrencyLimiter =>
    new ConcurrencyLimiter({
      total: total * factor,
      perRepository: perRepository * factor,
      perAccount: Math.max(1, Math.ceil((total * factor) / 2)),
      waiting,
    })
  return { refs: limiter(1), packs: limiter(1), pushes: limiter(PUSH_FACTOR) }
}

type QueueIntervals = Pick<Intervals, 'firstProgressMs' | 'slowTransferMs' | 'slowTransferBytesPerSecond'>

/** A backend with limits on concurrent requests. Further requests wait for a slot. */
export function limitedBackend(backend: Backend, limiters: Limiters, intervals: QueueIntervals): Backend {
  const refs = new RequestClass(limiters.refs, intervals)
  const packs = new RequestClass(limiters.packs, intervals)
  const pushes = new RequestClass(limiters.pushes, intervals)
  return {
    ...backend,
    advertise: (request, response) => refs.run(backend.advertise, request, response),
    uploadPack: (request, response) =>
      (request.slotRequest.isSmall ? refs : packs).run(backend.uploadPack, request, response),
    receivePack: (request, response) => pushes.run(backend.receivePack, request, response),
  }
}

/** Requests that share a limit. */
class RequestClass {
  readonly #limiter: Limiter
  readonly #slowTransfers: SlowTransfers
  readonly #firstProgressMs: number

  constructor(limiter: Limiter, intervals: QueueIntervals) {
    this.#limiter = limiter
    this.#slowTransfers = new SlowTransfers(() => limiter.counts, intervals)
    this.#firstProgressMs = intervals.firstProgressMs
  }

  /** Runs a method of the backend in a slot. */
  async run(method: BackendMethod, request: BackendRequest, response: ResponseWriter): Promise<ServeOutcome> {
    const stopReports = reportRepeatedly(this.#firstProgressMs, () => response.onQueued(this.#limiter.counts))
    const slot = await acquireSlot(this.#limiter, request).finally(stopReports)
    switch (slot.kind) {
      case 'left':
        return { kind: 'broken', reason: 'the client left' }
      case 'overloaded':
        return { kind: 'failed', reason: 'too many requests are queued', fault: 'overloaded' }
      case 'slot': {
        let isReleased = false
        const release = (): void => {
          if (!isReleased) slot.release()
          isReleased = true
        }
        const watch = this.#slowTransfers.watch(request, response, release)
        try {
          return await method({ ...request, signal: watch.signal }, response)
        } finally {
          watch.stop()
          release()
        }
      }
    }
  }
}

/** Waits for the first slot that any client waiting for this response gets: light users don't wait for a heavy one. */
async function acquireSlot(limiter: Limiter, { repository, slotRequest, signal }: BackendRequest): Promise<SlotResult> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort()
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  return await new Promise<SlotResult>((resolve, reject) => {
    const asked = new Set<string>()
    let open = 0
    let result: SlotResult | undefined
    const isOver = (): boolean => result !== undefined
    const ask = async (account: string): Promise<void> => {
      if (isOver() || asked.has(account)) return
      asked.add(account)
      open += 1
      const got = await limiter.acquire(repository, account, leaving.signal)
      open -= 1
      if (isOver()) {
        if (got.kind === 'slot') got.release()
        return
      }
      // Another account may still get one.
      if (got.kind === 'overloaded' && open > 0) return
      result = got
      signal.removeEventListener('abort', leave)
      leave()
      resolve(got)
    }
    const start = (account: string): void => void ask(account).catch(reject)
    start(slotRequest.account)
    slotRequest.onJoin?.(start)
  })
}

// Reverse proxies time out after a minute of silence.
const MAX_REPORT_INTERVAL_MS = 30_000

/** Calls a function after some time, and then at growing intervals. @returns the function that stops it */
function reportRepeatedly(firstMs: number, report: () => void): () => void {
  let timer: NodeJS.Timeout
  const later = (milliseconds: number): void => {
    timer = setTimeout(() => {
      report()
      later(Math.min(2 * milliseconds, MAX_REPORT_INTERVAL_MS))
    }, milliseconds)
  }
  later(firstMs)
  return () => clearTimeout(timer)
}

// How often a transfer is looked at within the time in which it must be fast enough.
const SAMPLES = 6
// A paused transfer keeps its git, whose output waits in a pipe. More of them in one request class would cost too much memory.
const MAX_PAUSED = 16

/** A transfer that gave its slot back and goes on at its client's speed. */
type Paused = { readonly account: string; readonly abort: () => void }

/**
 * Takes slots back from transfers whose client hardly reads or sends while others wait: two accounts could hold all slots by
 * reading nothing. Such a transfer is not ended: it waits for its client, and git waits for it. Only where many of them have
 * piled up, the account with most of them loses its oldest.
 */
class SlowTransfers {
  readonly #counts: () => QueueCounts
  readonly #sampleMs: number
  readonly #leastBytesPerMs: number
  readonly #paused = new Set<Paused>()

  /** @param counts of the request class */
  constructor(
    counts: () => QueueCounts,
    { slowTransferMs, slowTransferBytesPerSecond }: Pick<Intervals, 'slowTransferMs' | 'slowTransferBytesPerSecond'>,
  ) {
    this.#counts = counts
    this.#sampleMs = slowTransferMs / SAMPLES
    this.#leastBytesPerMs = slowTransferBytesPerSecond / 1_000
  }

  /**
   * Watches a transfer that has a slot.
   *
   * @param release gives the slot back
   * @returns the transfer's signal, which is also aborted when it is ended here, and what ends the watch
   */
  watch(
    { signal, slotRequest }: BackendRequest,
    response: ResponseWriter,
    release: () => void,
  ): { readonly signal: AbortSignal; stop(): void } {
    const aborting = new AbortController()
    const paused: Paused = { account: slotRequest.account, abort: () => aborting.abort() }
    const samples = [{ at: performance.now(), bytes: response.progress().bytes }]
    const timer = setInterval(() => {
      const { bytes, waitsForClient } = response.progress()
      const at = performance.now()
      samples.push({ at, bytes })
      if (samples.length <= SAMPLES) return
      const first = samples.shift()
      // Of the time that has passed: timers come late, and then close together.
      const isSlow = first !== undefined && bytes - first.bytes < this.#leastBytesPerMs * (at - first.at)
      // A git that works for long before it writes is not slow in this sense: it needs its slot.
      if (!isSlow || !waitsForClient || this.#counts().waiting === 0) return
      clearInterval(timer)
      release()
      this.#pause(paused)
    }, this.#sampleMs).unref()
    return {
      signal: AbortSignal.any([signal, aborting.signal]),
      stop: () => {
        clearInterval(timer)
        this.#paused.delete(paused)
      },
    }
  }

  #pause(one: Paused): void {
    this.#paused.add(one)
    if (this.#paused.size <= MAX_PAUSED) return
    const all = [...this.#paused]
    const countOf = ({ account }: Paused): number => all.filter((other) => other.account === account).length
    const [oldest] = all.sort((one, other) => countOf(other) - countOf(one))
    if (oldest === undefined) return
    this.#paused.delete(oldest)
    oldest.abort()
  }
}
