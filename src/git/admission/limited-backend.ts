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

/** Waits until any of the accounts waiting for this response gets a slot, so that light users don't wait for a heavy one. */
async function acquireSlot(limiter: Limiter, { repository, slotRequest, signal }: BackendRequest): Promise<SlotResult> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort()
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  return await new Promise<SlotResult>((resolve, reject) => {
    const accounts = new Set<string>()
    let queued = 0
    let result: SlotResult | undefined
    const isDone = (): boolean => result !== undefined
    const acquireFor = async (account: string): Promise<void> => {
      if (isDone() || accounts.has(account)) return
      accounts.add(account)
      queued += 1
      const own = await limiter.acquire(repository, account, leaving.signal)
      queued -= 1
      if (isDone()) {
        if (own.kind === 'slot') own.release()
        return
      }
      // Another account may still get one.
      if (own.kind === 'overloaded' && queued > 0) return
      result = own
      signal.removeEventListener('abort', leave)
      leave()
      resolve(own)
    }
    const start = (account: string): void => void acquireFor(account).catch(reject)
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

// Samples of a transfer's progress within the time in which it must be fast enough.
const SAMPLES = 6
// In one request class. The git process of a paused transfer keeps running, and more of them would need too much memory.
const MAX_PAUSED = 16

/** A transfer that gave its slot back and continues at its client's speed. */
type PausedTransfer = { readonly account: string; readonly abort: () => void }

/**
 * Takes slots back from transfers whose client hardly reads or sends while other requests are queued: otherwise two accounts could
 * hold all slots by reading nothing. Such a transfer continues without a slot. When too many have no slot, the account with the
 * most of them loses its oldest.
 */
class SlowTransfers {
  readonly #counts: () => QueueCounts
  readonly #sampleMs: number
  readonly #leastBytesPerMs: number
  readonly #paused = new Set<PausedTransfer>()

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
   * @returns the transfer's signal, which is also aborted when the transfer is ended here; and `stop`, which ends the watch
   */
  watch(
    { signal, slotRequest }: BackendRequest,
    response: ResponseWriter,
    release: () => void,
  ): { readonly signal: AbortSignal; stop(): void } {
    const aborting = new AbortController()
    const paused: PausedTransfer = { account: slotRequest.account, abort: () => aborting.abort() }
    const samples = [{ at: performance.now(), bytes: response.progress().bytes }]
    const timer = setInterval(() => {
      const { bytes, waitsForClient } = response.progress()
      const at = performance.now()
      samples.push({ at, bytes })
      if (samples.length <= SAMPLES) return
      const first = samples.shift()
      // Relative to the time passed: timers fire late, and then close together.
      const isSlow = first !== undefined && bytes - first.bytes < this.#leastBytesPerMs * (at - first.at)
      // A git that computes for a long time before it writes needs its slot.
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

  #pause(transfer: PausedTransfer): void {
    this.#paused.add(transfer)
    if (this.#paused.size <= MAX_PAUSED) return
    const all = [...this.#paused]
    const countOf = ({ account }: PausedTransfer): number => all.filter((other) => other.account === account).length
    const [oldest] = all.sort((one, other) => countOf(other) - countOf(one))
    if (oldest === undefined) return
    this.#paused.delete(oldest)
    oldest.abort()
  }
}
