import { Meter } from './meter.js'
import type { Peer } from './peers/peer.js'
import type { Sample, Series } from './result.js'

/** What is measured. */
export type Measurement = {
  readonly operation: string
  readonly atOnce: number
  readonly rounds: number
  /** Does what is measured. @returns how many operations it was */
  readonly operate: (peer: Peer, round: number) => Promise<number>
  /** Made before each round, unmeasured. */
  readonly prepare?: (round: number) => Promise<void>
}

/**
 * Measures servers side by side: all of them in each round, so that what disturbs the machine disturbs them alike. Each
 * round begins with another one.
 *
 * @param guests those that no target names; they take part in the first rounds only
 */
export async function inTurns(
  peers: readonly Peer[],
  { operation, atOnce, rounds, operate, prepare }: Measurement,
  guests: readonly Peer[] = [],
  guestRounds = 0,
): Promise<Series[]> {
  const all = [...peers, ...guests]
  const samples = new Map<Peer, Sample[]>(all.map((peer) => [peer, []]))
  const meter = new Meter()
  for (let round = 0; round <= rounds; round++) {
    await prepare?.(round)
    const present = round <= guestRounds || round === 0 ? all : peers
    for (let i = 0; i < present.length; i++) {
      const peer = present[(i + round) % present.length]
      if (peer === undefined) continue
      const keep = (sample: Sample): void => void samples.get(peer)?.push(sample)
      // The first time of anything is no measure.
      await meter.measure(peer, () => operate(peer, round), round === 0 ? () => undefined : keep)
    }
  }
  await meter.finish()
  return all.map((peer) => ({ subject: peer.name, operation, atOnce, samples: samples.get(peer) ?? [] }))
}

/** Keeps so many clients busy until a time has passed. @returns how many operations came to their end */
export async function keepBusy(
  clients: number,
  seconds: number,
  operate: (client: number) => Promise<unknown>,
): Promise<number> {
  const until = performance.now() + seconds * 1_000
  let count = 0
  const client = async (_: unknown, index: number): Promise<void> => {
    do {
      await operate(index)
      count++
    } while (performance.now() < until)
  }
  await Promise.all(Array.from({ length: clients }, client))
  return count
}

/** Does something a number of times, so many at once. */
export async function times(
  total: number,
  atOnce: number,
  operate: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const client = async (): Promise<void> => {
    while (next < total) await operate(next++)
  }
  await Promise.all(Array.from({ length: Math.min(total, atOnce) }, client))
}

/** Compares two servers round by round, as far as both were there. */
export function ratios(
  series: readonly Series[],
  subject: string,
  baseline: string,
  pick: (sample: Sample) => number,
): number[] {
  const of = (name: string): readonly Sample[] => series.find((one) => one.subject === name)?.samples ?? []
  const [ours, theirs] = [of(subject), of(baseline)]
  return ours.flatMap((sample, i) => {
    const other = theirs[i]
    return other === undefined ? [] : [pick(sample) / pick(other)]
  })
}
