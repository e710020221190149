import fc from 'fast-check'
import t from 'tap'
import { parseCredential } from '../../../src/domain/access/authenticate.js'

const MALFORMED = { kind: 'malformed' }
const NONE = { kind: 'none' }

function basic(text: string | Uint8Array): string {
  return `Basic ${Buffer.from(text).toString('base64')}`
}

/** What was read, with the secret in the open. */
function read(header: string | undefined, privateToken?: string): object {
  const credential = parseCredential(header, privateToken)
  switch (credential.kind) {
    case 'none':
      return credential
    case 'malformed':
      return MALFORMED
    case 'token':
      return { token: credential.secret.reveal() }
    case 'basic':
      return { username: credential.username, password: credential.password.reveal() }
  }
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

t.test('nothing, and schemes that Git’s routes don’t know, count as no credential', async (t) => {
  const headers = [undefined, '', ' ', 'Negotiate YII=', 'Digest username="a"', 'BasicYTpiYw==', 'Basi']
  for (const header of [...headers, 'Basic,YTpiYw==', 'Token YTpiYw==', '"Basic" YTpiYw==', 'x'.repeat(32_000)])
    t.strictSame(read(header), NONE, String(header).slice(0, 40))
})

t.test('a token may come by itself', async (t) => {
  for (const header of ['Bearer ggpat-x', 'bearer ggpat-x', ' BEARER   ggpat-x '])
    t.strictSame(read(header), { token: 'ggpat-x' }, header)
  t.strictSame(read('Bearer'), { token: '' }, 'and is never anonymous without one')
  t.strictSame(read(undefined, 'ggpat-x'), { token: 'ggpat-x' })
  t.strictSame(read('Negotiate x', 'ggpat-x'), { token: 'ggpat-x' })
  t.strictSame(read(basic('a:b'), 'ggpat-x'), { username: 'a', password: 'b' }, 'what Git sends counts first')
})

t.test('one line break at the end doesn’t count, as in a secret that was read from a file', async (t) => {
  for (const end of ['\n', '\r\n']) t.strictSame(read(basic(`alice:x${end}`)), { username: 'alice', password: 'x' })
  t.strictSame(read(basic('alice:x\n\n')), MALFORMED)
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

t.test('what is not UTF-8 is Latin-1', async (t) => {
  const latin1 = Buffer.from('älice:pässwort', 'latin1')
  t.strictSame(read(basic(latin1)), { username: 'älice', password: 'pässwort' })
  const overlong = Buffer.concat([Buffer.from('alice'), Buffer.from([0xc0, 0xba]), Buffer.from('x')])
  t.strictSame(read(basic(overlong)), MALFORMED, 'which has no second spelling of a colon')
})

t.test('no control character passes, on either side of the colon', async (t) => {
  for (const character of ['\0', '\n', '\r', '\t', '\u001B', '\u007F']) {
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
  t.equal(JSON.stringify(parseCredential(basic('alice:hunter2'))).includes('hunter2'), false)
})

t.test('no header makes the parser throw', async () => {
  const base64 = fc.base64String().map((text) => `Basic ${text}`)
  const bytes = fc.uint8Array().map((bytes) => basic(bytes))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), base64, bytes), (header) => {
      return ['none', 'basic', 'token', 'malformed'].includes(parseCredential(header).kind)
    }),
    { numRuns: 1_000 },
  )
})

t.test('every username without a colon and every password come through as they were', async () => {
  const text = fc.string({ unit: 'binary' }).map((text) => text.replace(/\p{Cc}/gu, ''))
  const username = text.map((text) => text.replaceAll(':', ''))
  fc.assert(
    fc.property(username, text, (username, password) => {
      const credential = parseCredential(basic(`${username}:${password}`))
      return (
        credential.kind === 'basic' && credential.username === username && credential.password.reveal() === password
      )
    }),
    { numRuns: 1_000 },
  )
})
