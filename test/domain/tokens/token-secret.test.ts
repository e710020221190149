import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Secret } from '../../../src/core/secret.js'
import { digestSecret, mintSecret, redactTokens, secretShape } from '../../../src/domain/tokens/token-secret.js'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
// One of each kind of character that the setting takes, and the longest.
const PREFIXES = ['ggpat-', '', 'glpat-', 'x', 'acme_', 'a+b', 'a=', 'org/', 'me@host', 'git:', 'v1.', 'p'.repeat(20)]
/** CRC-32 of the prefix and thirty zeros, in base 62, worked out elsewhere. What is a token stays one for ever. */
const KNOWN_TOKEN = `ggpat-${'0'.repeat(30)}037cQW`
/** FIPS 180-2, B.1 */
const SHA256_OF_ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

function shapeOf(text: string, prefixes: readonly string[] = ['ggpat-']): string {
  return secretShape(new Secret(text, 'password'), prefixes)
}

t.test('a token is its prefix, 30 random characters and 6 of checksum', async (t) => {
  for (const prefix of PREFIXES) {
    const text = mintSecret(prefix).reveal()
    t.ok(text.startsWith(prefix), text)
    t.match(text.slice(prefix.length), /^[0-9A-Za-z]{36}$/)
    t.equal(shapeOf(text, []), 'token', 'whatever prefixes are in use')
  }
})

t.test('the checksum is the CRC-32 of all before it, in base 62', async (t) => {
  t.equal(shapeOf(KNOWN_TOKEN), 'token')
  t.equal(shapeOf(KNOWN_TOKEN.slice('ggpat-'.length)), 'other', 'the prefix is part of it')
})

t.test('no two tokens are the same, and all characters occur', async (t) => {
  const bodies = Array.from({ length: 200 }, () => mintSecret('').reveal().slice(0, 30))
  t.equal(new Set(bodies).size, 200)
  // 6,000 draws of 62: that one is never drawn has a probability of 10⁻⁴⁰.
  t.equal(new Set(bodies.join('')).size, 62)
})

t.test('a token with any one character changed, lost or added is none', async () => {
  const character = fc.constantFrom(...Array.from(BASE62), '-', '_', ' ', 'é')
  fc.assert(
    fc.property(fc.constantFrom(...PREFIXES), fc.nat(), character, fc.nat(2), (prefix, where, other, change) => {
      const text = mintSecret(prefix).reveal()
      const at = where % text.length
      const end = change === 1 ? at : at + 1
      const changed = text.slice(0, at) + (change === 0 ? '' : other) + text.slice(end)
      // To lose the whole of nothing, or to put back what was there, is no change.
      return changed === text || shapeOf(changed, []) === 'other'
    }),
    { numRuns: 2_000 },
  )
})

t.test('two neighbouring characters swapped are no token either', async (t) => {
  const text = KNOWN_TOKEN
  for (let at = 0; at + 1 < text.length; at++) {
    const swapped = text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2)
    if (swapped !== text) t.not(shapeOf(swapped), 'token', swapped)
  }
})

t.test('a secret that begins like a token and ends wrongly never reaches the password check', async (t) => {
  for (const text of ['ggpat-', 'ggpat-x', `${KNOWN_TOKEN} `, `${KNOWN_TOKEN}x`, KNOWN_TOKEN.slice(0, -1)])
    t.equal(shapeOf(text), 'broken-token', text)
  t.equal(shapeOf('acme_x', ['ggpat-', 'acme_']), 'broken-token')
})

t.test('anything else may be a password; an empty prefix claims nothing', async (t) => {
  for (const text of ['', 'correct horse', 'GGPAT-x', ' ggpat-x', BASE62, 'a'.repeat(36)])
    t.equal(shapeOf(text), 'other')
  t.equal(shapeOf('correct horse', ['', 'ggpat-']), 'other')
})

t.test('a digest is the SHA-256 of the whole secret', async (t) => {
  const digest = digestSecret(new Secret('abc', 'token'))
  t.equal(Buffer.from(digest.reveal(), 'base64url').toString('hex'), SHA256_OF_ABC)
  const digests = ['abc', 'Abc', 'abc ', ''].map((text) => digestSecret(new Secret(text, 'token')).reveal())
  t.equal(new Set(digests).size, 4)
})

t.test('a secret prints as what it is called, however it is printed', async (t) => {
  const secret = new Secret('hunter2', 'password')
  const printed = [
    String(secret),
    'a template: '.concat(secret as unknown as string),
    JSON.stringify(secret),
    JSON.stringify({ nested: [secret] }),
    inspect(secret),
    inspect({ nested: { deeply: { indeed: [secret] } } }, { depth: 9, showHidden: true }),
    Object.entries(secret).join(),
    new Error(`failed: ${secret as unknown as string}`).stack ?? '',
    JSON.stringify(Object.assign({}, secret)),
  ]
  for (const text of printed) t.notMatch(text, /hunter2/)
  t.equal(printed[0], '[password]')
  t.equal(printed[2], '"[password]"')
  t.equal(printed[4], '[password]')
  t.equal(secret.reveal(), 'hunter2')
  t.notMatch(inspect([mintSecret('ggpat-'), digestSecret(secret)]), /ggpat-|[\w-]{43}/)
})

const PLACES = [
  'X',
  ' X ',
  '"X"',
  "'X'",
  '(X)',
  '<X>',
  '[X]',
  '{X}',
  'a X.',
  'X,',
  'X;',
  'token=X',
  '?a=X&b=c',
  '#X',
  'X\n',
]
const URLS = [
  '/X',
  '/X.git/info/refs',
  '/team/X',
  'https://alice:X@git.example/app.git',
  'https://X@git.example',
  '%20X%0A',
]

t.test('a token is taken out of a text wherever it stands', async (t) => {
  for (const prefix of PREFIXES) {
    const text = mintSecret(prefix).reveal()
    const leaks = [...PLACES, ...URLS].filter((place) => {
      const around = place.replaceAll('X', text)
      // A line of the log is JSON, in which quotes and line ends are escaped.
      return [around, JSON.stringify({ msg: around })].some((line) => redactTokens(line).includes(text.slice(-36)))
    })
    t.strictSame(leaks, [], `tokens that begin with "${prefix}"`)
  }
})

t.test('two tokens in a text are both taken out, and the rest stays', async (t) => {
  t.equal(redactTokens(`a ${KNOWN_TOKEN} b ${mintSecret('').reveal()} c`), 'a [token] b [token] c')
})

// Attack: a token is pasted so that other characters of tokens follow it, and stands in the audit log in clear.
t.test('a token is taken out of a run of characters, and nothing else is', async (t) => {
  const around = fc.string({
    unit: fc.constantFrom('0', '4', 'A', 'Z', 'a', 'z', 'p', '-', '_', ' ', 'é'),
    maxLength: 60,
  })
  fc.assert(
    fc.property(fc.array(around, { minLength: 1, maxLength: 4 }), fc.constantFrom(...PREFIXES), (parts, prefix) => {
      const secrets = parts.map(() => mintSecret(prefix).reveal())
      const redacted = redactTokens(parts.map((part, index) => part + secrets[index]!).join(''))
      return (
        secrets.every((secret) => !redacted.includes(secret.slice(-36))) &&
        redacted === `${parts.join('[token]')}[token]`
      )
    }),
    { seed: 14, numRuns: 500 },
  )
  t.equal(redactTokens(KNOWN_TOKEN.repeat(3)), '[token]'.repeat(3))
  t.equal(redactTokens(`${KNOWN_TOKEN}x`), '[token]x')
})

t.test('what is no token stays in a text', async (t) => {
  const commit = 'f'.repeat(40)
  const id = '01234567-89ab-cdef-0123-456789abcdef'
  for (const text of ['', 'nothing', commit, id, BASE62, `{"id":"${id}","oid":"${commit}"}`, 'e'.repeat(5_000)])
    t.equal(redactTokens(text), text)
})
