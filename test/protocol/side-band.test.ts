import t from 'tap'
import { encodePktLine } from '../../src/protocol/pkt-line.js'
import type { SideBand } from '../../src/protocol/side-band.js'
import { BAND, encodeBand, encodeProgress, sideBandOf } from '../../src/protocol/side-band.js'

t.test('a band is as many packets as it needs: 65,515 bytes each, or 995', async (t) => {
  const sizes = { 'side-band-64k': 65_515, 'side-band': 995 } as const
  for (const [name, size] of Object.entries(sizes) as [SideBand, number][]) {
    for (const length of [0, 1, size - 1, size, size + 1, 2 * size, 2 * size + 1]) {
      const data = Buffer.alloc(length, 'abc')
      const parts = Array.from({ length: Math.ceil(length / size) }, (_, index) =>
        encodePktLine(Buffer.concat([Buffer.from([2]), data.subarray(index * size, (index + 1) * size)])),
      )
      t.ok(encodeBand(BAND.progress, data, name).equals(Buffer.concat(parts)), `${length} bytes by ${name}`)
    }
  }
  t.equal(encodeProgress('two\nlines', 'side-band').toString(), '000f\x02two\nlines\n')
})

t.test('the wider side band is taken where both are offered', async (t) => {
  t.equal(sideBandOf(new Set(['side-band', 'side-band-64k'])), 'side-band-64k')
  t.equal(sideBandOf(new Set(['side-band', 'quiet'])), 'side-band')
  t.equal(sideBandOf(new Set(['report-status'])), undefined)
})
