import { setTimeout as sleep } from 'node:timers/promises'
import type { Peer } from './peers/peer.js'
import { upstreamCpu } from './peers/peer.js'
import type { Sample } from './result.js'

type Slice = { readonly settledAt: number; readonly finish: () => void }

/**
 * Measures slices of work, one at a time. A gate writes the audit rows of its requests up to half a second later, which is
 * an eighth of the CPU of a cached request. So its CPU is read that much later, while other peers are measured.
 */
export class Meter {
  readonly #unsettled = new Map<Peer, Slice>()

  /**
   * @param operate returns how many operations it was
   * @param keep gets the sample once the CPU has settled: during a later slice, or in `finish`
   * @param settleMs how long the peer works on after the last response
   */
  async measure(
    peer: Peer,
    operate: () => Promise<number>,
    keep: (sample: Sample) => void,
    settleMs = peer.settleMs ?? 0,
  ): Promise<void> {
    await this.#settle(peer)
    const [own, upstream, started] = [peer.cpu.seconds(), upstreamCpu(peer), performance.now()]
    const count = await operate()
    const ended = performance.now()
    // Read at once: the next slice may be of another peer in front of the same upstream.
    const upstreamUsed = upstreamCpu(peer) - upstream
    const finish = (): void => {
      const used = peer.cpu.seconds() - own
      keep({ wall: (ended - started) / 1_000 / count, cpu: (used + upstreamUsed) / count, ownCpu: used / count })
    }
    this.#unsettled.set(peer, { settledAt: ended + settleMs, finish })
    for (const [other, { settledAt }] of this.#unsettled) if (settledAt <= performance.now()) await this.#settle(other)
  }

  /** Waits until every sample was kept. */
  async finish(): Promise<void> {
    for (const peer of this.#unsettled.keys()) await this.#settle(peer)
  }

  async #settle(peer: Peer): Promise<void> {
    const slice = this.#unsettled.get(peer)
    if (slice === undefined) return
    await sleep(Math.max(0, slice.settledAt - performance.now()))
    slice.finish()
    this.#unsettled.delete(peer)
  }
}

/** Measures one peer once. @param operate returns how many operations it was */
export async function measure(peer: Peer, operate: () => Promise<number>): Promise<Sample> {
  const meter = new Meter()
  const samples: Sample[] = []
  await meter.measure(peer, operate, (sample) => samples.push(sample))
  await meter.finish()
  const [sample] = samples
  if (sample === undefined) throw new Error(`${peer.name} was not measured`)
  return sample
}
