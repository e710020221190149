import fc from 'fast-check'
import t from 'tap'
import { parseAuthorization } from '../../../src/domain/access/authenticate.js'

const MALFORMED = { kind: 'malformed' }
const NONE = { kind: 'none' }

function basic(text: string | Uint8Array): string {
  return `Basic ${Buffer.from(text).toString('base64')}`
}

/** What was read, with the password in the open. */
function read(header: string | undefined): object {
  const credential = parseAuthorization(header)
  if (credential.kind !== 'basic') return credential
  return { username: credential.username, password: credential.password.reveal() }
}

t.test('the username ends at the first colon; all the rest is the password', async (t) => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['alice:secret', 'alice', 'secret'],
    ['alice:', 'alice', ''],
    [':secret', '', 'secret'],
    [':', '', ''],
    ['alice:a:b:', 'alice', 'a:b:'],
    ['alice: secret ', 'alice', ' secret '],
    ['alice@example.com:x', 'alice@example.com', 'x'],
    ['älice:pässwörd 🦊', 'älice', 'pässwörd 🦊'],
    // A byte order mark is a character like any other.
    ['\uFEFFalice:\uFEFFx', '\uFEFFalice', '\uFEFFx'],
  ]
  for (const [text, username, password] of cases) t.strictSame(read(basic(text)), { username, password }, text)
})

t.test('the example of RFC 7617 is read', async (t) => {
  t.strictSame(read('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='), { username: 'Aladdin', password: 'open sesame' })
  t.strictSame(read('Basic dGVzdDoxMjPCow=='), { username: 'test', password: '123£' })
})

t.test('the scheme may be in any case, with blanks after it and padding or none', async (t) => {
  const expected = { username: 'a', password: 'bc' }
  for (const header of ['Basic YTpiYw==', 'basic YTpiYw==', 'BASIC YTpiYw==', 'bAsIc   YTpiYw', ' Basic YTpiYw= '])
    t.strictSame(read(header), expected, header)
})

t.test('nothing, and schemes that Git’s routes don’t look at, count as no credential', async (t) => {
  const headers = [
    undefined,
    '',
    ' ',
    'Bearer ggpat-x',
    'Negotiate YII=',
    'Digest username="a"',
    'BasicYTpiYw==',
    'Basi',
  ]
  for (const header of [...headers, 'Basic,YTpiYw==', 'Token YTpiYw==', '"Basic" YTpiYw==', 'x'.repeat(32_000)])
    t.strictSame(read(header), NONE, String(header).slice(0, 40))
})

t.test('Basic without a well-formed credential is malformed, never anonymous', async (t) => {
  const headers = ['Basic', 'basic ', 'Basic =', 'Basic ====', 'Basic YTpiYw===', 'Basic YTpi Yw==', 'Basic YTpi,Yw==']
  const others = [
    'Basic alice:secret',
    'Basic YTpiYw==, Basic YTpiYw==',
    'Basic \u00E9',
    'Basic YTpi-Yw_',
    'Basic YTpi%59w',
  ]
  for (const header of [...headers, ...others, basic('no colon'), basic('')])
    t.strictSame(read(header), MALFORMED, header)
})

t.test('what is not UTF-8 is malformed', async (t) => {
  const latin1 = Buffer.from('alice:pässwort', 'latin1')
  const overlong = Buffer.concat([Buffer.from('alice'), Buffer.from([0xc0, 0xba]), Buffer.from('x')])
  const surrogate = Buffer.concat([Buffer.from('alice:'), Buffer.from([0xed, 0xa0, 0x80])])
  const cut = Buffer.from('alice:🦊').subarray(0, -1)
  for (const bytes of [latin1, overlong, surrogate, cut, Buffer.from([0x3a, 0xff])])
    t.strictSame(read(basic(bytes)), MALFORMED, bytes.toString('hex'))
})

t.test('no control character passes, on either side of the colon', async (t) => {
  for (const character of ['\0', '\n', '\r', '\t', '\u001B', '\u007F', '\u0085']) {
    t.strictSame(read(basic(`ali${character}ce:x`)), MALFORMED, JSON.stringify(character))
    t.strictSame(read(basic(`alice:x${character}y`)), MALFORMED, JSON.stringify(character))
  }
})

t.test('a huge credential is read like a small one', async (t) => {
  const password = 'p'.repeat(1_000_000)
  t.strictSame(read(basic(`alice:${password}`)), { username: 'alice', password })
  t.strictSame(read(`Basic ${'='.repeat(1_000_000)}`), MALFORMED)
  t.strictSame(read(`Basic ${' '.repeat(1_000_000)}`), MALFORMED)
  t.strictSame(read(`Basic ${' '.repeat(1_000_000)}!`), MALFORMED)
})

t.test('a credential prints without its password', async (t) => {
  t.equal(JSON.stringify(parseAuthorization(basic('alice:hunter2'))).includes('hunter2'), false)
})

t.test('no header makes the parser throw', async () => {
  const base64 = fc.base64String().map((text) => `Basic ${text}`)
  const bytes = fc.uint8Array().map((bytes) => basic(bytes))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), base64, bytes), (header) => {
      return ['none', 'basic', 'malformed'].includes(parseAuthorization(header).kind)
    }),
    { numRuns: 1_000 },
  )
})

t.test('every username without a colon and every password come through as they were', async () => {
  const text = fc.string({ unit: 'binary' }).map((text) => text.replace(/\p{Cc}/gu, ''))
  const username = text.map((text) => text.replaceAll(':', ''))
  fc.assert(
    fc.property(username, text, (username, password) => {
      const credential = parseAuthorization(basic(`${username}:${password}`))
      return (
        credential.kind === 'basic' && credential.username === username && credential.password.reveal() === password
      )
    }),
    { numRuns: 1_000 },
  )
})
