// The parser of pushes, whatever comes: pieces cut anywhere, bytes changed anywhere.
import fc from 'fast-check'
import t from 'tap'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import type { PushCommand, PushHead } from '../../src/protocol/push-head.js'
import { encodePushHead } from '../../src/protocol/push-head.js'
import { command, cut, encodeHead, ONE, parseHead, parseInPieces, someHead, ZERO } from './push-bytes.js'

const PACK = Buffer.from('PACK0002')
const SAMPLE = Buffer.concat([
  encodeHead({
    shallow: [ONE],
    commands: [command('refs/heads/é'), command('refs/tags/v1', ONE, ZERO)],
    capabilities: ' report-status push-options',
    options: ['ci.skip'],
  }),
  PACK,
])

/** All that a parse says, in a form that compares at once. */
function reported(pieces: readonly Buffer[]): string {
  const { parsing, left } = parseInPieces(pieces)
  return parsing.kind === 'head' ? `${flat(parsing.head)} ${left.toString('hex')}` : JSON.stringify(parsing)
}

function flat({ commands, capabilities, isSigned, bytes, parts }: PushHead): string {
  const kept = [bytes, parts.shallow, parts.capabilities, parts.options].map((part) => part.toString('latin1'))
  return JSON.stringify([texts(commands), [...capabilities], isSigned, kept])
}

function texts(commands: readonly PushCommand[]): string[] {
  return commands.map(({ oldId, newId, refBytes }) => `${oldId} ${newId} ${refBytes.toString('latin1')}`)
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  return JSON.stringify(some) === JSON.stringify(others)
}

/** The commands that bytes hold, read by the simplest of means: git's own view of a list. */
function commandsIn(bytes: Buffer): string[] {
  const found: string[] = []
  for (let at = 0, length = 0; ; at += length) {
    length = Number.parseInt(bytes.toString('latin1', at, at + 4), 16)
    if (length === 0) return found
    const [line = ''] = bytes.toString('latin1', at + 4, at + length).split('\0', 1)
    if (!line.startsWith('shallow ')) found.push(line.replace(/\n$/, ''))
  }
}

t.test('every way of cutting a head in three gives the same parse', async (t) => {
  const whole = reported([SAMPLE])
  t.match(whole, 'refs/tags/v1')
  const different: number[][] = []
  for (let one = 0; one <= SAMPLE.length; one++)
    for (let two = one; two <= SAMPLE.length; two++)
      if (reported(cut(SAMPLE, [one, two])) !== whole) different.push([one, two])
  t.strictSame(different, [])
})

t.test('any head, cut anywhere, gives the same parse: what it was made of', async () => {
  fc.assert(
    fc.property(someHead, fc.array(fc.nat(), { maxLength: 6 }), (given, places) => {
      const head = encodeHead(given)
      const whole = Buffer.concat([head, PACK])
      const { parsing, left } = parseInPieces([whole])
      if (parsing.kind !== 'head') return false
      const { commands, bytes } = parsing.head
      const isWhole = areSame(texts(commands), texts(given.commands)) && bytes.equals(head) && left.equals(PACK)
      return isWhole && reported(cut(whole, places)) === reported([whole])
    }),
  )
})

t.test('a head that is not whole is waited for', async (t) => {
  const length = SAMPLE.length - PACK.length
  const early = Array.from({ length }, (_, end) => parseInPieces([SAMPLE.subarray(0, end)]).parsing.kind)
  t.strictSame(new Set(early), new Set(['more']))
  t.equal(parseInPieces([SAMPLE.subarray(0, length)]).parsing.kind, 'head')
})

type Change = { readonly at: number; readonly put: Uint8Array; readonly drop: number }

const someChanges: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    at: fc.nat(),
    put: fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc.constantFrom('\0', '\n', ' ', '0', '1', 'a', 'F', '0000', '0004', '\xff').map((text) => Buffer.from(text)),
    ),
    drop: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
)

function changed(bytes: Buffer, changes: readonly Change[]): Buffer {
  return changes.reduce((bytes, { at, put, drop }) => {
    const start = at % (bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, start), put, bytes.subarray(start + drop)])
  }, bytes)
}

t.test('bytes changed anywhere give a head, a reason or a wait; a head is what its bytes hold', async () => {
  fc.assert(
    fc.property(someHead, someChanges, (given, changes) => {
      const bytes = changed(Buffer.concat([encodeHead(given), PACK]), changes)
      const { parsing, left } = parseInPieces([bytes])
      if (parsing.kind === 'more') return true
      if (parsing.kind === 'malformed') return parsing.reason !== ''
      const { head } = parsing
      return (
        Buffer.concat([head.bytes, left]).equals(bytes) &&
        areSame(texts(head.commands), commandsIn(head.bytes)) &&
        flat(parseHead(head.bytes)) === flat(head)
      )
    }),
    { numRuns: 3_000 },
  )
})

const SIGNED = Buffer.concat([
  encodePktLine('push-cert\0report-status'),
  ...[
    'certificate version 0.1\n',
    'pusher Ada\n',
    '\n',
    `${ZERO} ${ONE} refs/heads/a\n`,
    `${ONE} ${ZERO} refs/heads/b\n`,
    '-----BEGIN SSH SIGNATURE-----\n',
    'U1NIU0lH\n',
    'push-cert-end\n',
  ].map((line) => encodePktLine(line)),
  FLUSH,
])

/** What git would do of a certificate: it reads lines up to a NUL, and takes the last signature of those it knows. */
function commandsOfCertificate(bytes: Buffer): string[] {
  let text = ''
  for (let at = 0, length = 0; ; at += length) {
    length = Number.parseInt(bytes.toString('latin1', at, at + 4), 16)
    const [line = ''] = bytes.toString('latin1', at + 4, at + length).split('\0', 1)
    if (length === 0 || line === 'push-cert-end\n') break
    if (at > 0) text += line
  }
  const blank = text.indexOf('\n\n')
  const signatures = [...text.matchAll(/^-----BEGIN (PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE|SSH SIGNATURE)-----/gm)]
  const end = signatures.at(-1)?.index ?? text.length
  const lines = blank === -1 ? [] : text.slice(blank + 2, Math.max(end, blank + 2)).split('\n')
  const commands = lines.filter((line) => line !== '')
  // Of a line that is no command, git dies, and does nothing.
  return commands.every((line) => /^[0-9a-f]{40} [0-9a-f]{40} /i.test(line)) ? commands : []
}

// Attack: a certificate in which git finds a command that was not authorised.
t.test('of a changed certificate git does no command that was not read in it', async (t) => {
  t.strictSame(commandsOfCertificate(SIGNED), texts(parseHead(SIGNED).commands))
  t.equal(commandsOfCertificate(SIGNED).length, 2)
  fc.assert(
    fc.property(someChanges, (changes) => {
      const { parsing } = parseInPieces([changed(SIGNED, changes)])
      if (parsing.kind !== 'head' || !parsing.head.isSigned) return true
      const known = texts(parsing.head.commands)
      return commandsOfCertificate(parsing.head.bytes).every((command) => known.includes(command))
    }),
    { numRuns: 3_000 },
  )
})

t.test('bytes of any kind are taken without a fault', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }), (pieces) => {
      return ['more', 'head', 'malformed'].includes(
        parseInPieces(pieces.map((piece) => Buffer.from(piece))).parsing.kind,
      )
    }),
    { numRuns: 1_000 },
  )
})

t.test('a head encoded anew is the kept commands, and everything else as it was', async () => {
  fc.assert(
    fc.property(someHead, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (given, keep) => {
      const head = parseHead(encodeHead(given))
      const some = head.commands.filter((_, index) => keep[index])
      const kept = some.length === 0 ? head.commands.slice(-1) : some
      const anew = parseHead(encodePushHead(head, kept))
      return flat({ ...anew, bytes: head.bytes }) === flat({ ...head, commands: kept })
    }),
  )
})
