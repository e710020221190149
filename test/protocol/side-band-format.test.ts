// What a fetch request tells of its answer, before there is one.
import fc from 'fast-check'
import t from 'tap'
import { fetchResponseFormat } from '../../src/protocol/side-band.js'

const ID = 'a'.repeat(40)
const pkt = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text
const v2 = (...lines: string[]): Buffer =>
  Buffer.from(`${pkt('command=fetch')}${pkt('agent=git/2.39.5')}0001${lines.map(pkt).join('')}0000`)
const v0 = (lines: string[], rest: string): Buffer => Buffer.from(`${lines.map(pkt).join('')}0000${rest}`)
const first = (bytes: Buffer): string | undefined => fetchResponseFormat(bytes)?.firstPacket?.toString()

const CLONE = ['thin-pack', 'no-progress', 'ofs-delta', 'include-tag', 'filter blob:none', `want ${ID}\n`, 'done\n']

t.test('how the answer to a clone begins is certain', async (t) => {
  t.equal(first(v2(...CLONE)), '000dpackfile\n')
  t.equal(first(v0([`want ${ID} side-band-64k ofs-delta\n`, `want ${ID}\n`], pkt('done\n'))), '0008NAK\n')
  t.equal(first(v0([`want ${ID} side-band\n`], pkt('done'))), '0008NAK\n')
})

t.test('it is not where the server may say something before', async (t) => {
  const more = ['deepen 1', 'deepen-since 1', 'deepen-not main', 'deepen-relative', `shallow ${ID}`, `have ${ID}`]
  for (const line of [...more, 'want-ref refs/heads/main', 'packfile-uris https', 'wait-for-done', 'unknown'])
    t.equal(first(v2(line, ...CLONE)), undefined, line)
  t.equal(first(v2('thin-pack', `want ${ID}`)), undefined, 'it goes on')
  t.equal(first(v2('done')), undefined, 'nothing is wanted')
  for (const line of ['deepen 1', `shallow ${ID}`, 'filter blob:none'])
    t.equal(first(v0([`want ${ID} side-band-64k\n`, line], pkt('done'))), undefined, line)
  t.equal(first(v0([`want ${ID} side-band-64k\n`], `${pkt(`have ${ID}\n`)}${pkt('done')}`)), undefined)
  t.equal(first(v0([`want ${ID} ofs-delta\n`], pkt('done'))), undefined, 'not multiplexed')
})

t.test('of a request that is cut, nothing is certain', async () => {
  for (const whole of [v2(...CLONE), v0([`want ${ID} side-band-64k\n`], pkt('done\n'))]) {
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), (length) => first(whole.subarray(0, length)) === undefined),
    )
  }
})

t.test('no bytes make it fail', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      fetchResponseFormat(Buffer.from(bytes))
      return true
    }),
  )
})
