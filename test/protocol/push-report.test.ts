import fc from 'fast-check'
import t from 'tap'
import { FLUSH } from '../../src/protocol/pkt-line.js'
import type { PushReport } from '../../src/protocol/push-report.js'
import { encodeRefusal, encodeReport, refusedRef, ReportReader } from '../../src/protocol/push-report.js'
import type { SideBand } from '../../src/protocol/side-band.js'
import { BAND, encodeAnswer, encodeBand, encodeProgress } from '../../src/protocol/side-band.js'
import { command, cut, list } from './push-bytes.js'

const REASON = 'token "agent" can only push to refs/heads/agent/*'
const refusal = (ref: string | Buffer, reason = REASON) => ({ command: command(ref), reason })

/** What a reader makes of bytes: the report, and what it passes on. */
function read(isMultiplexed: boolean, pieces: readonly Buffer[]): { report: PushReport | undefined; passed: Buffer } {
  const reader = new ReportReader(isMultiplexed)
  const passed = pieces.map((piece) => reader.push(piece))
  return { report: reader.report, passed: Buffer.concat(passed) }
}

t.test('refusals stand behind the first line of a report, byte for byte', async (t) => {
  const lines = ['ok refs/heads/old1\n', 'ok refs/heads/agent/1\n'].map((line) => Buffer.from(line))
  const report = encodeReport({ unpack: 'ok', lines }, [refusal('refs/heads/main')])
  const text = `000eunpack ok\n0049ng refs/heads/main ${REASON}\n0017ok refs/heads/old1\n001aok refs/heads/agent/1\n0000`
  t.equal(report.toString(), text)
  t.equal(encodeAnswer(report, 'side-band-64k').toString(), `0091\x01${text}0000`)
})

t.test('where nothing was done, the pack still is no matter of complaint', async (t) => {
  const refusals = [refusal('refs/heads/main', 'no'), refusal('refs/heads/b', 'neither')]
  t.equal(
    encodeRefusal(refusals).toString(),
    '000eunpack ok\n001ang refs/heads/main no\n001cng refs/heads/b neither\n0000',
  )
})

t.test('a name that is not UTF-8 is reported in its own bytes', async (t) => {
  const ref = Buffer.from('refs/heads/caf\xe9', 'latin1')
  t.ok(encodeRefusal([refusal(ref)]).includes(Buffer.concat([Buffer.from('ng '), ref, Buffer.from(' token')])))
})

t.test('a reason is one short line, without control characters, whatever it was', async (t) => {
  const lineFor = (reason: string) => read(false, [encodeRefusal([refusal('refs/heads/a', reason)])]).report?.lines[0]
  t.equal(lineFor('two\nlines\r\n\0and \x1b[31mred\x7f')?.toString(), 'ng refs/heads/a two lines and  [31mred \n')
  t.equal(lineFor('é “quoted”')?.toString(), 'ng refs/heads/a é “quoted”\n')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (reason) => {
      const line = lineFor(reason)?.toString() ?? ''
      return line.startsWith('ng refs/heads/a ') && /^[^\0-\x1f\x7f]*\n$/.test(line)
    }),
  )
  t.match(lineFor('x'.repeat(191))?.toString(), /^ng refs\/heads\/a x{187}…\n$/)
  t.match(lineFor('x'.repeat(190))?.toString(), /^ng refs\/heads\/a x{190}\n$/)
})

// Attack: a token or a ref with a long name of wide characters, at which the reason is cut within one of them, or is long
// in bytes though it is short in letters.
t.test('a long reason is at most 200 bytes, and ends in a whole character', async (t) => {
  const isSound = (reason: string): boolean => {
    const [line] = read(false, [encodeRefusal([refusal('refs/heads/a', reason)])]).report?.lines ?? []
    const reported = line?.subarray('ng refs/heads/a '.length, -1) ?? Buffer.alloc(0)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(reported)
    // By whole characters: half of a pair is none of the reason's beginning.
    const isBeginning = Array.from(text.replace(/…$/, '')).every((one, index) => one === Array.from(reason)[index])
    return reported.length <= 200 && (text === reason || (text.endsWith('…') && isBeginning && reported.length > 180))
  }
  for (const character of ['漢', '😀', 'é', '👩‍👩‍👧', 'e\u0301']) {
    for (let length = 0; length < 200; length++) {
      for (const start of ['', 'a', 'ab', 'abc']) {
        const reason = start + character.repeat(length)
        if (!isSound(reason)) t.fail(`${start} and ${length} times ${character}`)
      }
    }
  }
  const unit = fc.constantFrom('漢', '字', '😀', '🇩🇪', 'é', 'a', '"', ' ', '…')
  fc.assert(fc.property(fc.string({ unit, maxLength: 250 }), isSound), { numRuns: 1_000 })
})

t.test('a report’s options stay behind the ok that they belong to', async (t) => {
  const lines = [
    'ok refs/heads/a\n',
    'option refname refs/heads/b\n',
    'option forced-update\n',
    'ng refs/heads/c hook declined\n',
    'ok refs/heads/d\n',
  ]
  const { report } = read(false, [list('unpack ok\n', ...lines)])
  t.equal(report?.lines.join(''), lines.join(''))
  t.strictSame(
    encodeReport(report!, [refusal('refs/heads/x', 'no')]),
    list('unpack ok\n', 'ng refs/heads/x no\n', ...lines),
  )
})

t.test('what was wrong with a pack is kept', async (t) => {
  const lines = ['unpack index-pack abnormal exit\n', 'ng refs/heads/a unpacker error\n']
  const { report } = read(false, [list(...lines)])
  t.equal(report?.unpack, 'index-pack abnormal exit')
  t.strictSame(encodeReport(report!, []), list(...lines))
})

t.test('a line tells which ref was not changed, and why', async (t) => {
  t.strictSame(refusedRef(Buffer.from('ng refs/heads/a non-fast-forward\n')), {
    ref: 'refs/heads/a',
    reason: 'non-fast-forward',
  })
  t.match(refusedRef(Buffer.from('ng refs/heads/a hook declined')), { reason: 'hook declined' })
  t.match(refusedRef(Buffer.from('ng refs/heads/\xe9 no\n', 'latin1')), { ref: 'refs/heads/\xe9' })
  for (const line of ['ok refs/heads/a\n', 'option refname ng a b\n', 'ng refs/heads/a\n', 'unpack ok\n', ''])
    t.equal(refusedRef(Buffer.from(line)), undefined, line)
})

// Attack: a name of which one byte is taken for white space when bytes are read as letters: the line would be none.
t.test('a line tells it of a name of any bytes', async (t) => {
  const bytes = Array.from({ length: 128 }, (_, index) => String.fromCharCode(0x80 + index))
  for (const ref of ['refs/heads/Ã\xa0', 'refs/heads/\xa0', ...bytes.map((byte) => `refs/heads/a${byte}b`)]) {
    const line = Buffer.from(`ng ${ref} non-fast-forward\n`, 'latin1')
    t.strictSame(refusedRef(line), { ref, reason: 'non-fast-forward' }, JSON.stringify(ref))
  }
  t.equal(Buffer.from('refs/heads/à').toString('latin1'), 'refs/heads/Ã\xa0')
})

t.test('words for people pass at once and in order, the report is kept', async (t) => {
  const reader = new ReportReader(true)
  const words = encodeProgress('Checking…', 'side-band-64k')
  const end = encodeBand(BAND.fatal, Buffer.from('the end\n'), 'side-band-64k')
  const [start, rest] = cut(list('unpack ok\n', 'ok refs/heads/a\n'), [20])
  t.strictSame(reader.push(words), words)
  t.equal(reader.push(encodeBand(BAND.answer, start!, 'side-band-64k')).length, 0)
  t.equal(reader.report, undefined)
  t.equal(reader.push(words.subarray(0, 7)).length, 0, 'a packet passes when it is whole')
  t.strictSame(
    reader.push(Buffer.concat([words.subarray(7), Buffer.from('0005\x01'), end])),
    Buffer.concat([words, end]),
  )
  t.equal(reader.push(Buffer.concat([encodeBand(BAND.answer, rest!, 'side-band-64k'), FLUSH])).length, 0)
  t.match(reader.report, { unpack: 'ok', lines: [Buffer.from('ok refs/heads/a\n')] })
})

const someLines = fc.array(fc.stringMatching(/^(ok|ng|option) refs\/heads\/[a-z]{1,9}( [a-z é]{1,30})?$/), {
  maxLength: 6,
})
const someSideBand = fc.constantFrom<SideBand | undefined>('side-band-64k', 'side-band', undefined)

t.test('any report, in packets and pieces of any length, is read as it was written', async () => {
  const places = fc.array(fc.nat(), { maxLength: 6 })
  const someWords = fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 3 })
  fc.assert(
    fc.property(someLines, someSideBand, someWords, places, places, (lines, sideBand, words, packets, pieces) => {
      const report = list('unpack ok\n', ...lines.map((line) => `${line}\n`))
      const said = sideBand === undefined ? [] : words.map((text) => encodeProgress(text, sideBand))
      const parts = sideBand === undefined ? [report] : cut(report, packets).map((one) => encodeBand(1, one, sideBand))
      const mixed = Array.from({ length: Math.max(said.length, parts.length) }, (_, index) => [
        said[index],
        parts[index],
      ])
      const bytes = [...mixed.flat().filter((part) => part !== undefined), ...(sideBand === undefined ? [] : [FLUSH])]
      const result = read(sideBand !== undefined, cut(Buffer.concat(bytes), pieces))
      return (
        result.report !== undefined &&
        encodeReport(result.report, []).equals(report) &&
        result.passed.equals(Buffer.concat(said))
      )
    }),
    { numRuns: 500 },
  )
})

t.test('an answer that ends before its report is none', async (t) => {
  const report = list('unpack ok\n', 'ok refs/heads/a\n', 'ng refs/heads/b no\n')
  for (const [isMultiplexed, bytes, whole] of [
    [false, report, report.length],
    [true, encodeAnswer(report, 'side-band-64k'), report.length + 5],
  ] as const) {
    for (let end = 0; end <= bytes.length; end++)
      t.equal(read(isMultiplexed, [bytes.subarray(0, end)]).report !== undefined, end >= whole, `${end} bytes`)
  }
})

t.test('what is no report is none', async (t) => {
  const garbage = [
    '',
    '0000',
    '0008NAK\n0000',
    '<html>502</html>',
    '0003',
    '000eunpack ok\nPACK',
    '0016ok refs/heads/main0000',
  ]
  for (const text of [...garbage, '000eUNPACK OK\n0000', 'fff1', '\0\0\0\0']) {
    t.equal(read(false, [Buffer.from(text)]).report, undefined, text)
    const wrapped = encodeBand(BAND.answer, Buffer.from(text), 'side-band-64k')
    t.equal(read(true, [wrapped, FLUSH]).report, undefined, `${text}, multiplexed`)
  }
  t.equal(read(true, [list('unpack ok\n')]).report, undefined, 'not multiplexed where it should be')
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }), fc.boolean(), (pieces, isMultiplexed) => {
      return (
        read(
          isMultiplexed,
          pieces.map((piece) => Buffer.from(piece)),
        ).report === undefined
      )
    }),
  )
})

const answerOf = (text: string) => encodeBand(BAND.answer, Buffer.from(text), 'side-band-64k')

// Attack: an answer that is no protocol, and goes on for long: each piece of it was added to those before.
t.test('behind garbage nothing is kept and nothing passes', async (t) => {
  const piece = Buffer.alloc(65_536, '<p>')
  const words = encodeProgress('Checking…', 'side-band-64k')
  for (const [name, isMultiplexed, garbage] of [
    ['a page', false, piece],
    ['a page where packets should be', true, piece],
    ['a page in packets', true, answerOf('<html>')],
  ] as const) {
    const reader = new ReportReader(isMultiplexed)
    t.equal(reader.push(garbage).length, 0, name)
    const before = process.memoryUsage().arrayBuffers
    for (let count = 0; count < 1_000; count++) if (reader.push(piece).length > 0) t.fail(`${name} passes`)
    const kept = process.memoryUsage().arrayBuffers - before
    t.ok(kept < 16 * 1_048_576, `${name}: ${kept} bytes more`)
    t.equal(reader.push(words).length, 0, `${name}, then words`)
    const report = list('unpack ok\n', 'ok refs/heads/a\n')
    reader.push(isMultiplexed ? encodeAnswer(report, 'side-band-64k') : report)
    t.equal(reader.report, undefined, `${name}, then a report`)
  }
})

// Attack: a report that a packet of another protocol cuts short, taken for a whole one.
t.test('a report ends at 0000 and nowhere else', async (t) => {
  const start = list('unpack ok\n', 'ok refs/heads/a\n').subarray(0, -4).toString()
  for (const end of ['0001', '0002']) {
    for (const text of [`${start}${end}`, `${start}${end}0000`, `${end}${start}0000`]) {
      t.equal(read(false, [Buffer.from(text)]).report, undefined, text)
      t.equal(read(true, [answerOf(text), FLUSH]).report, undefined, `${text}, multiplexed`)
    }
  }
  t.match(read(true, [answerOf(start), answerOf('0000'), FLUSH]).report, { unpack: 'ok' })
})
