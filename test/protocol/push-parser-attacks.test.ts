// Pushes of which git's parser and the gate's read different things, or that could not be encoded once more.
import t from 'tap'
import type { Test } from 'tap'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import { encodePushHead } from '../../src/protocol/push-head.js'
import { encodeRefusal } from '../../src/protocol/push-report.js'
import {
  certificate,
  command,
  encodeHead,
  line,
  list,
  parseHead,
  parseInPieces,
  plain,
  SIGNATURE,
} from './push-bytes.js'

const MAIN = command('refs/heads/main')
/** The longest name that is taken. */
const LONGEST = `refs/${'x'.repeat(1_019)}`
const COMMAND = /two object ids/
const WORDS = /capabilities are not words/

/** A push that begins with some bytes, one for each character. */
const having = (first: string) => list(Buffer.from(first, 'latin1'))
const signedAs = (first: string) =>
  Buffer.concat([encodePktLine(Buffer.from(first, 'latin1')), ...certificate(`${line(MAIN)}\n`, ...SIGNATURE), FLUSH])

function isMalformed(t: Test, head: Buffer, reason: RegExp, name: string): void {
  t.match(parseInPieces([head]).parsing, { kind: 'malformed', reason }, name)
}

// Attack: an `atomic` that git finds behind a tab, and the gate does not, so that a part of the push is done. In git any
// white space parts two words, and a NUL ends them.
t.test('capabilities are printable words with spaces between them', async (t) => {
  const strange = ['\t', '\n', '\r', '\v', '\f', '\0', '\x1b', '\x7f', '\x80', '\x85', '\xa0', '\xff']
  for (const byte of strange) {
    for (const capabilities of [`quiet${byte}atomic`, `${byte}atomic`, ` quiet ${byte} atomic`]) {
      const name = JSON.stringify(capabilities)
      isMalformed(t, having(`${line(MAIN)}\0${capabilities}`), WORDS, name)
      isMalformed(t, signedAs(`push-cert\0${capabilities}`), WORDS, `${name}, signed`)
    }
    if (byte !== '\n') isMalformed(t, having(`${line(MAIN)}\0atomic${byte}`), WORDS, `${JSON.stringify(byte)} behind`)
  }
  isMalformed(t, having(`${line(MAIN)}\0atomic\n\n`), WORDS, 'two line feeds behind them')
  const { capabilities } = parseHead(having(`${line(MAIN)}\0 quiet  atomic \n`))
  t.ok(capabilities.has('quiet') && capabilities.has('atomic'), 'one is right, and so are more spaces than one')
})

// Attack: git takes `atomic=no` for atomic; the gate did a part of such a push.
t.test('a capability with a value counts by its name as well', async (t) => {
  const named = { 'atomic=no': 'atomic', 'quiet atomic=': 'atomic', 'side-band-64k=1': 'side-band-64k' }
  for (const [text, name] of Object.entries(named))
    t.ok(
      parseHead(encodeHead({ commands: [MAIN], capabilities: `report-status ${text}` })).capabilities.has(name),
      text,
    )
  const { capabilities } = parseHead(encodeHead({ commands: [MAIN], capabilities: 'atomically=1 x=atomic agent=a=b' }))
  t.notOk(capabilities.has('atomic'))
  t.ok(capabilities.has('agent=a=b') && capabilities.has('agent'))
  const options = encodeHead({ commands: [MAIN], capabilities: 'push-options=no', options: ['ci.skip'] })
  t.strictSame(parseHead(options).bytes, options, 'the list of push options is waited for')
})

// Attack: blank characters that only one of two parsers takes off, so that one sees a certificate, and one commands.
t.test('a certificate begins with push-cert and nothing behind it', async (t) => {
  t.equal(parseHead(signedAs('push-cert\0report-status')).isSigned, true)
  for (const blank of [' ', '  ', '\n', '\t', '\r', '\v', '\f', ' \n', '\xa0', '\ufeff'])
    isMalformed(t, signedAs(`push-cert${blank}\0report-status`), COMMAND, `${JSON.stringify(blank)} behind it`)
  for (const first of [' push-cert', 'PUSH-CERT', 'push-cert-end', 'push-cer', ''])
    isMalformed(t, signedAs(`${first}\0report-status`), COMMAND, JSON.stringify(first))
})

// Attack: a name or words that nearly fill a packet: with the other of the two, or with a reason, they are longer than a
// packet can be, and the gate fails when the head is encoded anew, or the report.
t.test('a name and the capabilities are so short that both, or a reason, fit into a packet', async (t) => {
  for (const length of [1_020, 60_000]) {
    const long = line(command(`refs/${'x'.repeat(length)}`))
    for (const lines of [[long], [line(MAIN), long]])
      isMalformed(t, list(...lines), /more than 1024 bytes/, `a name of ${length}`)
  }
  for (const length of [16_001, 60_000]) {
    isMalformed(t, having(`${line(MAIN)}\0${'x'.repeat(length)}`), WORDS, `capabilities of ${length}`)
    isMalformed(t, signedAs(`push-cert\0${'x'.repeat(length)}`), WORDS, `capabilities of ${length}, signed`)
  }
  const capabilities = ` report-status${' x'.repeat(8_000)}`.slice(0, 16_000)
  const commands = [MAIN, command(LONGEST)]
  const head = parseHead(encodeHead({ commands, capabilities }))
  const anew = parseHead(encodePushHead(head, head.commands.slice(1)))
  t.strictSame(plain(anew.commands), plain(commands.slice(1)))
  t.equal(anew.parts.capabilities.toString(), capabilities)
  const [, reported] = encodeRefusal([{ command: commands[1]!, reason: '漢'.repeat(30_000) }])
    .toString()
    .split('\n')
  t.match(reported, `ng ${LONGEST} 漢`)
})
