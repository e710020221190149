// Words of ours between the packets of an answer, however it comes in pieces.
import fc from 'fast-check'
import t from 'tap'
import { AnswerTracker } from '../../src/protocol/answer-tracker.js'
import { BAND, encodeBand } from '../../src/protocol/side-band.js'

const FLUSH = Buffer.from('0000')
const NOTICE = encodeBand(BAND.progress, Buffer.from('a notice\n'), 'side-band-64k')
const WORDS = encodeBand(BAND.fatal, Buffer.from('the end\n'), 'side-band-64k')
const packets = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 6 })
  .map((contents) => contents.map((content) => encodeBand(BAND.answer, Buffer.from(content), 'side-band-64k')))
const cuts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 })
const LEADS = { none: '', 'packfile-section': '000dpackfile\n', acknowledgements: '0008NAK\n' } as const
const lead = fc.constantFrom('none', 'packfile-section', 'acknowledgements')

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
function pushAll(tracker: AnswerTracker, pieces: readonly Buffer[]): Buffer {
  const reused = Buffer.alloc(64)
  const sent = pieces.flatMap((piece) => {
    const length = piece.copy(reused)
    return tracker.push(reused.subarray(0, length)).map((bytes) => Buffer.from(bytes))
  })
  return Buffer.concat(sent)
}

t.test('an answer passes as it is, with a notice before its first packet', async () => {
  fc.assert(
    fc.property(lead, packets, cuts, fc.boolean(), (lead, packets, lengths, hasNotice) => {
      const before = Buffer.from(LEADS[lead])
      const rest = Buffer.concat([...packets, FLUSH])
      const tracker = new AnswerTracker(lead, hasNotice ? NOTICE : Buffer.alloc(0))
      const sent = pushAll(tracker, cut(Buffer.concat([before, rest]), lengths))
      return sent.equals(Buffer.concat([before, hasNotice ? NOTICE : Buffer.alloc(0), rest]))
    }),
  )
})

t.test('last words stand where a packet ends, and nothing after them', async () => {
  fc.assert(
    fc.property(packets, cuts, fc.nat(), (packets, lengths, when) => {
      const answer = Buffer.concat([...packets, FLUSH])
      const pieces = cut(answer, lengths)
      const early = pieces.slice(0, when % (pieces.length + 1))
      const tracker = new AnswerTracker('none', Buffer.alloc(0))
      const before = pushAll(tracker, early)
      const now = Buffer.concat(tracker.endWith(WORDS) ?? [])
      const after = pushAll(tracker, pieces.slice(early.length))
      const sent = Buffer.concat([before, now, after])
      const ends = [...packets, FLUSH].map((_, index) => Buffer.concat([...packets, FLUSH].slice(0, index)).length)
      const passed = sent.length - WORDS.length
      return (
        sent.subarray(passed).equals(WORDS) &&
        sent.subarray(0, passed).equals(answer.subarray(0, passed)) &&
        [...ends, answer.length].includes(passed) &&
        tracker.hasEnded
      )
    }),
  )
})

t.test('what is no packet passes as it is, and nothing can be said', async () => {
  fc.assert(
    fc.property(packets, cuts, (packets, lengths) => {
      const answer = Buffer.concat([...packets, Buffer.from('no packet'), ...packets])
      const tracker = new AnswerTracker('none', Buffer.alloc(0))
      return pushAll(tracker, cut(answer, lengths)).equals(answer) && tracker.endWith(WORDS) === undefined
    }),
  )
})
