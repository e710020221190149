import t from 'tap'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import { commandKind, encodePushHead, hasPack, PushHeadParser } from '../../src/protocol/push-head.js'
import {
  certificate,
  command,
  encodeHead,
  line,
  list,
  ONE,
  parseHead,
  parseInPieces,
  plain,
  SIGNATURE,
  signed,
  TWO,
  ZERO,
} from './push-bytes.js'

const CAPABILITIES = ' report-status-v2 side-band-64k quiet object-format=sha1 agent=git/2.39.5'
const MAIN = command('refs/heads/main')
const PACK = Buffer.from('PACK\0\0\0\x02')

t.test('a head is its commands with their capabilities; the pack is left', async (t) => {
  const commands = [MAIN, command('refs/heads/agent/1', ZERO), command('refs/tags/v1', ONE, ZERO)]
  const head = encodeHead({ commands, capabilities: CAPABILITIES })
  const { parsing, left } = parseInPieces([Buffer.concat([head, PACK])])
  t.match(parsing, { kind: 'head', head: { commands, isSigned: false, bytes: head } })
  t.strictSame(left, PACK)
  const { capabilities, parts } = parseHead(head)
  for (const word of CAPABILITIES.trim().split(' ')) t.ok(capabilities.has(word), word)
  t.notOk(capabilities.has('atomic'))
  t.equal(parts.capabilities.toString(), CAPABILITIES, 'kept as they were, with git’s space before them')
  t.strictSame(commands.map(commandKind), ['update', 'create', 'delete'])
})

t.test('lines may end in a line feed, and capabilities need no space before them', async (t) => {
  const commands = [MAIN, command('refs/heads/topic')]
  const first = encodePktLine(`${line(MAIN)}\0report-status atomic\n`)
  const head = parseHead(Buffer.concat([first, encodePktLine(`${line(commands[1]!)}\n`), FLUSH]))
  t.strictSame(plain(head.commands), commands)
  t.ok(head.capabilities.has('report-status') && head.capabilities.has('atomic'))
  t.notOk(parseHead(list(line(MAIN))).capabilities.has('report-status'), 'nor need there be any')
})

t.test('shallow lines stand before the commands, push options after them', async (t) => {
  const head = parseHead(
    encodeHead({ shallow: [ONE, TWO], commands: [MAIN], capabilities: 'push-options', options: ['ci.skip', 'a=b c'] }),
  )
  t.strictSame(plain(head.commands), [MAIN])
  t.equal(head.parts.shallow.toString(), `0034shallow ${ONE}0034shallow ${TWO}`)
  t.equal(head.parts.options.toString(), '000bci.skip0009a=b c0000')
  const none = parseHead(encodeHead({ commands: [MAIN], capabilities: 'push-options', options: [] }))
  t.equal(none.parts.options.toString(), '0000')
})

t.test('ids of SHA-256 are longer, and come with its name', async (t) => {
  const [zero, one] = ['0'.repeat(64), '1'.repeat(64)]
  const commands = [command('refs/heads/a', zero, one), command('refs/heads/b', one, zero)]
  const head = parseHead(encodeHead({ commands, capabilities: ' report-status object-format=sha256' }))
  t.strictSame(plain(head.commands), commands)
  t.strictSame(head.commands.map(commandKind), ['create', 'delete'])
})

t.test('an empty list has no commands: git’s probe before a chunked push is one', async (t) => {
  for (const head of [FLUSH, list(`shallow ${ONE}`)]) {
    t.match(parseHead(head), { commands: [], isSigned: false, bytes: head })
    t.equal(parseHead(head).capabilities.has('report-status'), false)
  }
})

t.test('from zero to zero is a deletion, as git has it; a pack comes unless everything is deleted', async (t) => {
  const nothing = command('refs/heads/a', ZERO, ZERO)
  t.equal(commandKind(nothing), 'delete')
  t.equal(hasPack([nothing, command('refs/heads/b', ONE, ZERO)]), false)
  t.equal(hasPack([nothing, MAIN]), true)
  t.equal(hasPack([command('refs/heads/b', ZERO)]), true)
})

t.test('the commands of a signed push stand in its certificate', async (t) => {
  const commands = [MAIN, command('refs/heads/topic', ZERO)]
  const whole = signed(...certificate(...commands.map((one) => `${line(one)}\n`), ...SIGNATURE))
  const head = parseHead(Buffer.concat([whole, PACK]))
  t.match(head, { commands, isSigned: true, bytes: whole })
  t.ok(head.capabilities.has('report-status'))
  const options = Buffer.concat([
    encodePktLine('push-cert\0 atomic push-options'),
    ...certificate(`${line(MAIN)}\n`, ...SIGNATURE),
    list(),
    list('ci.skip'),
  ])
  t.match(parseHead(options), { commands: [MAIN], isSigned: true, bytes: options })
})

t.test('a name need not be UTF-8: its bytes survive', async (t) => {
  const ref = Buffer.from('refs/heads/caf\xe9\xff', 'latin1')
  const commands = [command(ref), MAIN]
  const head = parseHead(encodeHead({ commands, capabilities: 'report-status' }))
  t.strictSame(head.commands[0]?.refBytes, ref)
  t.equal(head.commands[0]?.ref, 'refs/heads/caf\ufffd\ufffd')
  t.strictSame(parseHead(encodePushHead(head, head.commands.slice(0, 1))).commands[0]?.refBytes, ref)
})

// What two parsers read differently could be authorised as one thing and done as another: git's own is laxer.
const COMMAND = /two object ids/
const CERTIFICATE = /certificate/
const END = /ends in 0000/
const BAD: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
  'capabilities on the second line': [list(line(MAIN), `${line(command('refs/heads/b'))}\0atomic`), COMMAND],
  'a list that ends at 0001': [Buffer.concat([encodePktLine(line(MAIN)), Buffer.from('0001')]), END],
  'a list that ends at 0002': [Buffer.concat([encodePktLine(line(MAIN)), Buffer.from('0002')]), END],
  'a packet of a length that is none': [Buffer.from('0003'), END],
  'a length that is no number': [Buffer.from('00 5x'), END],
  'a packet of more than git sends': [Buffer.from('fff1x'), END],
  'an empty packet': [Buffer.concat([encodePktLine(line(MAIN)), Buffer.from('00040000')]), /a packet is empty/],
  'an empty option': [
    Buffer.concat([encodeHead({ commands: [MAIN], capabilities: 'push-options' }), Buffer.from('00040000')]),
    /a packet is empty/,
  ],
  'options that end at 0001': [
    Buffer.concat([encodeHead({ commands: [MAIN], capabilities: 'push-options' }), Buffer.from('0001')]),
    END,
  ],
  'ids in upper case': [list(line(command('refs/heads/a', 'A'.repeat(40)))), COMMAND],
  'ids of two lengths': [list(line(command('refs/heads/a', ONE, '2'.repeat(64)))), COMMAND],
  'ids of two lengths, the other way round': [list(line(command('refs/heads/a', '1'.repeat(64), TWO))), COMMAND],
  'ids that are too short': [list(line(command('refs/heads/a', ONE.slice(1)))), COMMAND],
  'ids of SHA-256 without its name': [list(line(command('refs/heads/a', '1'.repeat(64), '2'.repeat(64)))), COMMAND],
  'ids of SHA-1 under the name of SHA-256': [list(`${line(MAIN)}\0object-format=sha256`), COMMAND],
  'one id': [list(`${ONE} refs/heads/main`), COMMAND],
  'two spaces': [list(`${ONE}  ${TWO} refs/heads/main`), COMMAND],
  'a tab for a space': [list(`${ONE} ${TWO}\trefs/heads/main`), COMMAND],
  'a space in the ref': [list(line(command('refs/heads/a b'))), COMMAND],
  'a space behind the ref': [list(line(command('refs/heads/a '))), COMMAND],
  'a control byte in the ref': [list(line(command('refs/heads/a\x1b[2J'))), COMMAND],
  'DEL in the ref': [list(line(command('refs/heads/a\x7f'))), COMMAND],
  'a line feed in the ref': [list(line(command('refs/heads/a\nb'))), COMMAND],
  'two line feeds': [list(`${line(MAIN)}\n\n`), COMMAND],
  'CR LF': [list(`${line(MAIN)}\r\n`), COMMAND],
  'a ref that does not begin with refs/': [list(line(command('HEAD'))), COMMAND],
  'refs/ alone': [list(line(command('refs/'))), COMMAND],
  'a ref beside refs/': [list(line(command('/refs/heads/main'))), COMMAND],
  'a ref named twice': [list(line(MAIN), line(MAIN)), /named twice/],
  'a ref changed and deleted': [list(`${line(MAIN)}\n`, line(command('refs/heads/main', TWO, ZERO))), /named twice/],
  'a shallow line after a command': [list(line(MAIN), `shallow ${ONE}`), COMMAND],
  'a shallow line with capabilities': [list(`shallow ${ONE}\0report-status`), COMMAND],
  'text that is no command': [list('want everything'), COMMAND],
  'plain commands after a certificate': [
    signed(...certificate(`${line(MAIN)}\n`, ...SIGNATURE), encodePktLine(`${line(command('refs/heads/b'))}\n`)),
    CERTIFICATE,
  ],
  'plain commands before a certificate': [list(`${line(MAIN)}\0report-status`, 'push-cert'), COMMAND],
  'two signatures': [signed(...certificate(`${line(MAIN)}\n`, ...SIGNATURE, ...SIGNATURE)), CERTIFICATE],
  'two certificates': [signed(...certificate(...SIGNATURE), ...certificate(...SIGNATURE)), CERTIFICATE],
  'a certificate without a signature': [signed(...certificate(`${line(MAIN)}\n`)), CERTIFICATE],
  'a signature before the commands': [
    signed(
      ...['certificate version 0.1\n', ...SIGNATURE, '\n', `${line(MAIN)}\n`, 'push-cert-end\n'].map((one) =>
        encodePktLine(one),
      ),
    ),
    CERTIFICATE,
  ],
  'a certificate without its end': [signed(...certificate(...SIGNATURE).slice(0, -1)), CERTIFICATE],
  'a certificate without an empty line': [
    signed(...certificate(...SIGNATURE).filter((packet) => packet.toString() !== '0005\n')),
    CERTIFICATE,
  ],
  'a certificate of another version': [
    signed(encodePktLine('certificate version 0.2\n'), ...certificate(...SIGNATURE)),
    CERTIFICATE,
  ],
  'no certificate in a signed push': [signed(), CERTIFICATE],
  'two lines of a certificate in one packet': [
    signed(...certificate(`${line(MAIN)}\n${line(command('refs/heads/b'))}\n`, ...SIGNATURE)),
    CERTIFICATE,
  ],
  'a line of a certificate that does not end': [signed(...certificate(line(MAIN), ...SIGNATURE)), CERTIFICATE],
  'a command of a certificate with a NUL': [signed(...certificate(`${line(MAIN)}\0x\n`, ...SIGNATURE)), COMMAND],
  'a ref named twice in a certificate': [
    signed(...certificate(`${line(MAIN)}\n`, `${line(MAIN)}\n`, ...SIGNATURE)),
    /named twice/,
  ],
}

t.test('whatever is not the strict grammar is malformed, with its reason', async (t) => {
  for (const [name, [head, reason]] of Object.entries(BAD)) {
    t.match(parseInPieces([head]).parsing, { kind: 'malformed', reason }, name)
    t.match(parseInPieces(Array.from(head, (byte) => Buffer.from([byte]))).parsing, { kind: 'malformed', reason }, name)
  }
})

t.test('a list of more than 8 MiB is malformed before it ends', async (t) => {
  const shallow = Buffer.concat(Array<Buffer>(10_000).fill(encodePktLine(`shallow ${ONE}`)))
  const parser = new PushHeadParser()
  for (let length = 0; length + shallow.length <= 8 * 1_048_576; length += shallow.length)
    t.equal(parser.push(shallow).kind, 'more')
  t.match(parser.push(shallow), { kind: 'malformed', reason: /more than 8 MiB/ })
})
