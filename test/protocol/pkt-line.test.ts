import fc from 'fast-check'
import t from 'tap'
import { classifyBodyStart, encodePktLine } from '../../src/protocol/pkt-line.js'

t.test('a packet begins with its whole length in four hexadecimal digits', async (t) => {
  t.equal(encodePktLine('# service=git-upload-pack\n').toString(), '001e# service=git-upload-pack\n')
  t.equal(encodePktLine('é').toString('hex'), Buffer.from('0006é').toString('hex'))
})

t.test('a packet of more than 65,516 bytes is a programming error', async (t) => {
  t.equal(encodePktLine('x'.repeat(65_516)).length, 65_520)
  t.throws(() => encodePktLine('x'.repeat(65_517)), TypeError)
})

t.test('the first bytes of a body tell what it is', async (t) => {
  const kinds = {
    '': 'empty',
    '0000': 'flush-only',
    '00000': 'packets',
    '0001x': 'packets',
    '0001': 'not-packets',
    '0032w': 'packets',
    '00': 'not-packets',
    '0003x': 'not-packets',
    fff1x: 'not-packets',
    PACKx: 'not-packets',
    '{"a":': 'not-packets',
  }
  for (const [bytes, kind] of Object.entries(kinds)) t.equal(classifyBodyStart(Buffer.from(bytes)), kind, bytes)
})

t.test('whatever is encoded is recognised as a packet', async () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 100 }), (text) => {
      return classifyBodyStart(encodePktLine(text).subarray(0, 5)) === 'packets'
    }),
  )
})
