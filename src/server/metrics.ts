import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { addressMatcher, plainAddress } from '../core/address-list.js'
import type { Handler } from '../core/http.js'
import { sendText } from '../core/http.js'

/** What a backend counts. */
export type BackendCounts = {
  /** By kind of run. */
  readonly runs: Readonly<Record<string, { readonly running: number; readonly waiting: number }>>
  /** Absent where there is no cache. */
  readonly cache: CacheCounts | undefined
}

/** How the parts are that a gate serves without. */
export type WatchedParts = {
  /** `ok` or not, by the part's name in readiness. */
  readonly watched: () => Promise<Readonly<Record<string, string>>>
  /** How many audit events wait to be exported; `undefined` where they are not exported. */
  readonly waitingEvents: () => Promise<number | undefined>
}

type CacheResults = Readonly<Record<'hit' | 'coalesced' | 'miss' | 'bypass', number>>

type CacheCounts = CacheResults & {
  readonly evicted: number
  readonly writeFailures: number
  readonly entries: number
  readonly bytes: number
}

// A timer that is to fire so often tells how late the event loop is; the milliseconds are in what it tells.
const LOOK_EVERY = 10
const CACHE_RESULTS = ['hit', 'coalesced', 'miss', 'bypass'] as const

/** The metrics of this process: its own, those of its event loop since the last scrape, those of the backend and of watched parts. */
export function gateMetrics(counts: () => BackendCounts, { watched, waitingEvents }: WatchedParts): Registry {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOK_EVERY })
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read() ?? 0) })
  }
  const total = (name: string, help: string, read: () => number | undefined): void => {
    const made: Counter = new Counter({
      name,
      help,
      registers,
      collect() {
        made.reset()
        made.inc(read() ?? 0)
      },
    })
  }
  const cacheRequests: Counter<'result'> = new Counter({
    name: 'gitgate_cache_requests_total',
    help: 'Read requests, by what the response cache did.',
    labelNames: ['result'],
    registers,
    collect() {
      const { cache } = counts()
      cacheRequests.reset()
      for (const result of CACHE_RESULTS) cacheRequests.inc({ result }, cache?.[result] ?? 0)
    },
  })
  total('gitgate_cache_evicted_total', 'Cache entries evicted to make room.', () => counts().cache?.evicted)
  total(
    'gitgate_cache_write_failures_total',
    'Failed cache writes. Each disables the cache for 60 s.',
    () => counts().cache?.writeFailures,
  )
  gauge('gitgate_cache_entries', 'Entries in the cache.', () => counts().cache?.entries)
  gauge('gitgate_cache_bytes', 'Bytes in the cache, in memory and on disk.', () => counts().cache?.bytes)
  const runs: Gauge<'kind' | 'state'> = new Gauge({
    name: 'gitgate_git_runs',
    help: 'Requests that have a slot (running) or wait for one (waiting).',
    labelNames: ['kind', 'state'],
    registers,
    collect() {
      for (const [kind, states] of Object.entries(counts().runs))
        for (const [state, count] of Object.entries(states)) runs.set({ kind, state }, count)
    },
  })
  const degraded: Gauge<'part'> = new Gauge({
    name: 'gitgate_degraded',
    help: '1 where readiness says that a part is degraded, 0 where it is not.',
    labelNames: ['part'],
    registers,
    // Workers look at the same part: 1, not as many as there are of them.
    aggregator: 'max',
    async collect() {
      for (const [part, state] of Object.entries(await watched())) degraded.set({ part }, state === 'ok' ? 0 : 1)
    },
  })
  const waiting: Gauge = new Gauge({
    name: 'gitgate_audit_export_waiting_events',
    help: 'Audit events that are not exported yet; 0 without an export.',
    registers,
    aggregator: 'max',
    async collect() {
      // A store that can't be read must not take the other metrics with it.
      waiting.set((await waitingEvents().catch(() => Number.NaN)) ?? 0)
    },
  })
  return registry
}

/** Makes one text of what several processes have measured: sums, and of the event loop's delays their average. */
export async function joinMetrics(measured: readonly unknown[]): Promise<string> {
  return await AggregatorRegistry.aggregate([...measured] as object[]).metrics()
}

/**
 * `/-/metrics`, in the text format of Prometheus. For all but the allowed addresses there is no such page: figures tell who works when.
 *
 * @param allowed addresses and networks
 * @param read the metrics
 */
export function metricsHandler(allowed: readonly string[], read: () => Promise<string>): Handler {
  const isAllowed = addressMatcher(allowed)
  return async ({ request, response, ip }) => {
    // A proxy on this machine that is not declared as one would make everybody a local client.
    const isRelayed = request.headers['x-forwarded-for'] !== undefined || request.headers.forwarded !== undefined
    const isDirect = ip === plainAddress(request.socket.remoteAddress ?? '')
    if (!isAllowed(ip) || (isRelayed && isDirect)) {
      sendText(response, 404, 'Not Found')
      return
    }
    sendText(response, 200, await read(), { 'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE })
  }
}
