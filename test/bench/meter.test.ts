import t from 'tap'
import { Meter } from '../../bench/meter.js'
import type { Peer } from '../../bench/peers/peer.js'
import type { Sample } from '../../bench/result.js'

const SETTLE_MS = 5

/** A peer that says itself how much CPU it used. */
class FakePeer {
  used = 0
  readonly peer: Peer

  constructor(options: Pick<Peer, 'settleMs' | 'upstream'> = {}) {
    const none = { opening: <T>(start: () => Promise<T>) => start(), processes: () => [], blindSpots: () => [] }
    this.peer = { name: 'gitgate', url: '', cpu: { ...none, seconds: () => this.used }, ...options }
  }

  /** @returns how many operations it was */
  work(seconds: number, count: number): Promise<number> {
    this.used += seconds
    return Promise.resolve(count)
  }
}

t.test('the CPU that a gate uses after its last response counts, even while another peer is measured', async (t) => {
  const [gate, nginx] = [new FakePeer({ settleMs: SETTLE_MS }), new FakePeer()]
  const meter = new Meter()
  const samples: Record<string, Sample[]> = { gate: [], nginx: [] }
  await meter.measure(
    gate.peer,
    () => gate.work(2, 10),
    (sample) => samples['gate']?.push(sample),
  )
  t.equal(samples['gate']?.length, 0, 'it is not known yet')
  await meter.measure(
    nginx.peer,
    async () => {
      gate.used += 1
      return await nginx.work(4, 10)
    },
    (sample) => samples['nginx']?.push(sample),
  )
  t.match(samples['nginx'], [{ cpu: 0.4 }], 'nginx leaves nothing behind')
  await meter.finish()
  t.match(samples['gate'], [{ cpu: 0.3, ownCpu: 0.3 }])
})

t.test('the next slice of a gate begins when the one before has settled', async (t) => {
  const gate = new FakePeer({ settleMs: SETTLE_MS })
  const meter = new Meter()
  const samples: Sample[] = []
  const keep = (sample: Sample): void => void samples.push(sample)
  await meter.measure(gate.peer, () => gate.work(2, 10), keep)
  gate.used += 1
  const operate = async (): Promise<number> => {
    t.match(samples, [{ cpu: 0.3 }], 'the first one is known when the second begins')
    return await gate.work(5, 10)
  }
  await meter.measure(gate.peer, operate, keep)
  await meter.finish()
  t.match(samples, [{ cpu: 0.3 }, { cpu: 0.5 }])
})

t.test('the CPU of an upstream counts for the peer that used it, not for the next one', async (t) => {
  const upstream = new FakePeer()
  const gate = new FakePeer({ settleMs: SETTLE_MS, upstream: upstream.peer })
  const meter = new Meter()
  const samples: Sample[] = []
  const operate = async (): Promise<number> => {
    upstream.used += 3
    return await gate.work(1, 10)
  }
  await meter.measure(gate.peer, operate, (sample) => samples.push(sample))
  await meter.measure(
    upstream.peer,
    () => upstream.work(7, 10),
    () => undefined,
  )
  await meter.finish()
  t.match(samples, [{ cpu: 0.4, ownCpu: 0.1 }])
})
