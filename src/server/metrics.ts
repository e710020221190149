import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { addressMatcher, plainAddress } from '../core/address-list.js'
import type { Handler } from '../core/http.js'
import { sendText } from '../core/http.js'

/** What a backend counts. */
export type BackendCounts = {
  /** By request class. */
  readonly runs: Readonly<Record<string, { readonly running: number; readonly waiting: number }>>
  /** Absent if there is no cache. */
  readonly cache: CacheCounts | undefined
}

/** The parts that a gate can serve without. */
export type WatchedParts = {
  /** The state of each, by its name in readiness. */
  readonly watched: () => Promise<Readonly<Record<string, string>>>
  /** How many audit events wait to be exported; `undefined` without an export. */
  readonly waitingEvents: () => Promise<number | undefined>
}

type CacheResults = Readonly<Record<'hit' | 'coalesced' | 'miss' | 'bypass', number>>

type CacheCounts = CacheResults & {
  readonly evicted: number
  readonly writeFailures: number
  readonly entries: number
  readonly bytes: number
}

// A timer with this period measures how late the event loop is; the delay that it reports includes the period.
const EVENT_LOOP_SAMPLE_MS = 10
const CACHE_RESULTS = ['hit', 'coalesced', 'miss', 'bypass'] as const

/** The metrics of this process, of its event loop since the last scrape, of the backend and of the watched parts. */
export function gateMetrics(counts: () => BackendCounts, { watched, waitingEvents }: WatchedParts): Registry {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS })
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
    help: '1 if readiness reports the part as degraded, else 0.',
    labelNames: ['part'],
    registers,
    // All workers look at the same part.
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
      // The other metrics are still served if the store can't be read.
      waiting.set((await waitingEvents().catch(() => Number.NaN)) ?? 0)
    },
  })
  return registry
}

/**
 * The metrics of a gate with workers: counters are summed, event-loop delays averaged.
 *
 * @param measured what the workers that answered in time have measured
 * @param workers how many there are
 */
export async function aggregateMetrics(measured: readonly unknown[], workers: number): Promise<string> {
  const registry = AggregatorRegistry.aggregate([...measured] as object[])
  const gauge = (name: string, help: string, value: number): void =>
    new Gauge({ name, help, registers: [registry] }).set(value)
  gauge('gitgate_workers', 'Worker processes of the gate.', workers)
  gauge('gitgate_workers_reporting', 'Workers whose metrics are included; others did not answer.', measured.length)
  return await registry.metrics()
}

/**
 * `/-/metrics`, in the text format of Prometheus. Other addresses get 404, because the metrics reveal when people work.
 *
 * @param allowed addresses and networks that may read them
 * @param read the metrics
 */
export function metricsHandler(allowed: readonly string[], read: () => Promise<string>): Handler {
  const isAllowed = addressMatcher(allowed)
  return async ({ request, response, ip }) => {
    // Behind a local proxy that isn't a trusted one, every client would look local.
    const isRelayed = request.headers['x-forwarded-for'] !== undefined || request.headers.forwarded !== undefined
    const isDirect = ip === plainAddress(request.socket.remoteAddress ?? '')
    if (!isAllowed(ip) || (isRelayed && isDirect)) {
      sendText(response, 404, 'Not Found')
      return
    }
    sendText(response, 200, await read(), { 'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE })
  }
}
