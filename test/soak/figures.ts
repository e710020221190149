import { readdirSync, readFileSync } from 'node:fs'
import type { Result } from './model.js'

/** The gate's processes at one moment. */
type Sample = { readonly at: number; readonly residentBytes: number; readonly descriptors: number }

// Ten minutes. In a shorter run, a gate that has just started still grows.
const MIN_SAMPLES = 120
// Growth is looked for in the second half of a run, in which the gate's processes live on: between its first and last quarter.
const GROWTH_FROM = 0.5
const QUARTER = 0.125
const MAX_RESIDENT_GROWTH = 1.25
const SPARE_RESIDENT_BYTES = 30 * 1_048_576
const SPARE_DESCRIPTORS = 24

/** What a soak counts and measures. */
export class Figures {
  readonly #answers = new Map<string, number>()
  readonly #faults = new Map<string, number>()
  readonly #times = new Map<string, { readonly at: number; readonly ms: number }[]>()
  readonly #samples: Sample[] = []
  #progress = 0

  /** How many answers were compared with the model. */
  get answers(): number {
    return [...this.#answers.values()].reduce((sum, count) => sum + count, 0)
  }

  answer(kind: string, result: Result): void {
    add(this.#answers, `${kind} ${result}`)
  }

  fault(kind: string): void {
    add(this.#faults, kind)
  }

  time(kind: string, ms: number): void {
    const times = this.#times.get(kind) ?? []
    this.#times.set(kind, times)
    times.push({ at: this.#progress, ms })
  }

  /**
   * Reads the memory and descriptors of processes.
   *
   * @param progress of the run, from 0 to 1
   */
  sample(progress: number, pids: readonly number[]): void {
    this.#progress = progress
    try {
      const residentBytes = sum(pids.map(residentBytesOf))
      const descriptors = sum(pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length))
      this.#samples.push({ at: progress, residentBytes, descriptors })
    } catch {
      // One of them has just ended.
    }
  }

  summary(): string {
    const last = this.#samples.at(-1)
    const memory = last === undefined ? '?' : `${mebibytes(last.residentBytes)} MiB, ${last.descriptors} descriptors`
    return `${this.answers} answers, ${sum([...this.#faults.values()])} faults, ${memory}`
  }

  /** What grew, in words. */
  growth(): string[] {
    if (this.#samples.length < MIN_SAMPLES) return []
    const [first, last] = this.#quarters(this.#samples)
    if (first.length === 0 || last.length === 0) return []
    const [memory, later] = [first, last].map((part) => median(part.map(({ residentBytes }) => residentBytes)))
    const [open, laterOpen] = [first, last].map((part) => median(part.map(({ descriptors }) => descriptors)))
    return [
      ...((later ?? 0) > (memory ?? 0) * MAX_RESIDENT_GROWTH + SPARE_RESIDENT_BYTES
        ? [`memory grew from ${mebibytes(memory ?? 0)} to ${mebibytes(later ?? 0)} MiB`]
        : []),
      ...((laterOpen ?? 0) > (open ?? 0) + SPARE_DESCRIPTORS ? [`descriptors grew from ${open} to ${laterOpen}`] : []),
    ]
  }

  table(): string {
    const { answers, faults, times, memory } = this.json()
    const rows: [string, string | number][] = [
      ['answers', 'count'],
      ...Object.entries(answers),
      ['faults', 'count'],
      ...Object.entries(faults),
      ['second half', 'first quarter → last quarter'],
      ...Object.entries(memory),
      ...Object.entries(times),
    ]
    return rows.map(([name, value]) => `${name.padEnd(22)} ${String(value)}`).join('\n')
  }

  json() {
    const [first, last] = this.#quarters(this.#samples)
    const both = (of: (sample: Sample) => number): string =>
      [first, last].map((part) => median(part.map(of))).join(' → ')
    return {
      answers: sorted(this.#answers),
      faults: sorted(this.#faults),
      memory: {
        'resident MiB': both(({ residentBytes }) => mebibytes(residentBytes)),
        'resident MiB, most': mebibytes(Math.max(0, ...this.#samples.map(({ residentBytes }) => residentBytes))),
        descriptors: both(({ descriptors }) => descriptors),
      },
      times: Object.fromEntries(
        [...this.#times].map(([kind, all]) => {
          const parts = this.#quarters(all).map((part) => part.map(({ ms }) => ms))
          const of = (share: number): string => parts.map((part) => Math.round(quantile(part, share))).join(' → ')
          return [`${kind}, ms`, `p50 ${of(0.5)}, p99 ${of(0.99)}`]
        }),
      ),
    }
  }

  #quarters<T extends { readonly at: number }>(all: readonly T[]): [T[], T[]] {
    return [
      all.filter(({ at }) => at >= GROWTH_FROM && at < GROWTH_FROM + QUARTER),
      all.filter(({ at }) => at >= 1 - QUARTER),
    ]
  }
}

function residentBytesOf(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes ?? 0) * 1_024
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([one], [other]) => (one < other ? -1 : 1)))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}

function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

function quantile(numbers: readonly number[], share: number): number {
  const ordered = [...numbers].sort((one, other) => one - other)
  return ordered[Math.min(ordered.length - 1, Math.floor(share * ordered.length))] ?? 0
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1_048_576)
}
