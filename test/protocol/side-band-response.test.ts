// Our messages between the packets of a response, however it is cut into pieces.
import fc from 'fast-check'
import t from 'tap'
import type { ResponseFormat } from '../../src/protocol/side-band.js'
import { BAND, encodeBand, SideBandResponse } from '../../src/protocol/side-band.js'

const FLUSH = Buffer.from('0000')
const MESSAGE = encodeBand(BAND.progress, Buffer.from('a message\n'), 'side-band-64k')
const ERROR = encodeBand(BAND.fatal, Buffer.from('the end\n'), 'side-band-64k')
const packets = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 6 })
  .map((contents) => contents.map((content) => encodeBand(BAND.answer, Buffer.from(content), 'side-band-64k')))
const cuts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 })
const PREAMBLES = { none: '', 'packfile-section': '000dpackfile\n', acknowledgements: '0008NAK\n' } as const
const preamble = fc.constantFrom('none', 'packfile-section', 'acknowledgements')

function formatOf(preamble: ResponseFormat['preamble'], wantsProgress = true): ResponseFormat {
  return { preamble, sideBand: 'side-band-64k', wantsProgress, firstPacket: undefined }
}

/** Cuts bytes into pieces of these lengths, over and over. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** Pushes each piece from one buffer that is used again at once, as those do that read from a file. */
function pushAll(response: SideBandResponse, pieces: readonly Buffer[]): Buffer {
  const reused = Buffer.alloc(64)
  const sent = pieces.flatMap((piece) => {
    const length = piece.copy(reused)
    return response.push(reused.subarray(0, length)).map((bytes) => Buffer.from(bytes))
  })
  return Buffer.concat(sent)
}

t.test('a response passes as it is, with a message before its first packet', async () => {
  fc.assert(
    fc.property(preamble, packets, cuts, fc.boolean(), (preamble, packets, lengths, hasMessage) => {
      const before = Buffer.from(PREAMBLES[preamble])
      const rest = Buffer.concat([...packets, FLUSH])
      const response = new SideBandResponse(formatOf(preamble), hasMessage ? 'a message' : undefined)
      const sent = pushAll(response, cut(Buffer.concat([before, rest]), lengths))
      return sent.equals(Buffer.concat([before, hasMessage ? MESSAGE : Buffer.alloc(0), rest]))
    }),
  )
})

t.test('an error message stands where a packet ends, and nothing after it', async () => {
  fc.assert(
    fc.property(packets, cuts, fc.nat(), (packets, lengths, when) => {
      const whole = Buffer.concat([...packets, FLUSH])
      const pieces = cut(whole, lengths)
      const early = pieces.slice(0, when % (pieces.length + 1))
      const response = new SideBandResponse(formatOf('none'), undefined)
      const before = pushAll(response, early)
      const now = Buffer.concat(response.endWith('the end') ?? [])
      const after = pushAll(response, pieces.slice(early.length))
      const sent = Buffer.concat([before, now, after])
      const ends = [...packets, FLUSH].map((_, index) => Buffer.concat([...packets, FLUSH].slice(0, index)).length)
      const passed = sent.length - ERROR.length
      return (
        sent.subarray(passed).equals(ERROR) &&
        sent.subarray(0, passed).equals(whole.subarray(0, passed)) &&
        [...ends, whole.length].includes(passed) &&
        response.hasEnded
      )
    }),
  )
})

t.test('what is no packet passes as it is, and no message can stand in it', async () => {
  fc.assert(
    fc.property(packets, cuts, (packets, lengths) => {
      const whole = Buffer.concat([...packets, Buffer.from('no packet'), ...packets])
      const response = new SideBandResponse(formatOf('none'), undefined)
      return pushAll(response, cut(whole, lengths)).equals(whole) && response.endWith('the end') === undefined
    }),
  )
})

t.test('progress stands before a response, whose first packet was sent with it and is dropped later', async () => {
  const progress = encodeBand(BAND.progress, Buffer.from('1 waiting\n'), 'side-band-64k')
  fc.assert(
    fc.property(preamble, packets, cuts, fc.boolean(), (preamble, packets, lengths, hasMessage) => {
      const first = Buffer.from(PREAMBLES[preamble])
      const rest = Buffer.concat([...packets, FLUSH])
      const response = new SideBandResponse(formatOf(preamble), hasMessage ? 'a message' : undefined)
      const early = [...response.progress('1 waiting', first), ...response.progress('1 waiting', first)]
      const late = pushAll(response, cut(Buffer.concat([first, rest]), lengths))
      const message = hasMessage ? MESSAGE : Buffer.alloc(0)
      return Buffer.concat([...early, late]).equals(Buffer.concat([first, message, progress, progress, rest]))
    }),
  )
})

t.test('a client that wants no messages gets a sign of life', async (t) => {
  const response = new SideBandResponse(formatOf('packfile-section', false), undefined)
  const sent = Buffer.concat(response.progress('1 waiting', Buffer.from(PREAMBLES['packfile-section'])))
  t.equal(sent.toString(), '000dpackfile\n0005\u0001')
})

t.test('a response that begins otherwise than was said becomes an error message', async (t) => {
  const answers: [begins: string, error: string][] = [
    ['0011ERR no access', 'no access'],
    ['0008NAK\n', 'the Git server has answered otherwise'],
    ['not a packet', 'the Git server has answered otherwise'],
  ]
  for (const [begins, error] of answers) {
    const response = new SideBandResponse(formatOf('packfile-section'), undefined)
    response.progress('1 waiting', Buffer.from(PREAMBLES['packfile-section']))
    const sent = pushAll(response, cut(Buffer.from(`${begins}${begins}`), [5]))
    t.strictSame(sent, encodeBand(BAND.fatal, Buffer.from(`${error}\n`), 'side-band-64k'), begins)
  }
})
