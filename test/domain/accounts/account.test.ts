import fc from 'fast-check'
import t from 'tap'
import { checkDisplayName, checkEmail, checkUsername } from '../../../src/domain/accounts/account.js'
import { checkNewPassword } from '../../../src/domain/accounts/password.js'
import { Secret } from '../../../src/core/secret.js'

// Characters that would forge a line, or make text read backwards; all of them reach a terminal or a log in a name.
const DANGEROUS = {
  NUL: '\0',
  newline: '\n',
  'carriage return': '\r',
  tab: '\t',
  escape: '\u001B[31m',
  delete: '\u007F',
  'next line': '\u0085',
  'line separator': '\u2028',
  'paragraph separator': '\u2029',
  'left-to-right mark': '\u200E',
  'right-to-left mark': '\u200F',
  'arabic letter mark': '\u061C',
  'right-to-left override': '\u202E',
  'left-to-right isolate': '\u2066',
  'pop isolate': '\u2069',
}

t.test('a username is one plain segment of a URL', async (t) => {
  for (const username of ['a', 'alice', 'Alice', '_bot', '0', 'a.b-c_d', 'a..b', 'apis', 'lock', 'n'.repeat(64)])
    t.doesNotThrow(() => checkUsername(username), username)
})

t.test('a username that could be taken for something else is refused', async (t) => {
  const wrong = ['', '.', '..', '.alice', '-alice', 'alice/x', 'alice\\x', 'alice x', ' alice', 'alice\n', 'älice']
  const more = ['alice@example.com', '@all', 'alice:x', 'alice%20', 'alice.git', 'alice.lock', 'n'.repeat(65)]
  for (const username of [...wrong, ...more])
    t.throws(() => checkUsername(username), { code: 'invalid', message: /username/ }, JSON.stringify(username))
})

t.test('a username that is an address of gitgate’s own is refused in any case', async (t) => {
  for (const username of ['api', 'API', 'users', 'jwt', 'v2', 'Help', 'robots.txt', 'favicon.ico', 'sign_in'])
    t.throws(() => checkUsername(username), { code: 'invalid', message: /reserved/ }, username)
})

t.test('a refused name is quoted without the characters that don’t print', async (t) => {
  try {
    checkUsername('a\u202E\u001B[2Jb'.repeat(40))
    t.fail('it was taken')
  } catch (error) {
    t.notMatch(String(error), /[\u202E\u001B]/)
    t.ok(String(error).length < 300)
  }
})

t.test('a name that people read may hold any letters', async (t) => {
  for (const name of ['A', 'Ada Lovelace', '李小龙', 'שלום', 'Zoë 🦊', 'n'.repeat(255)])
    t.doesNotThrow(() => checkDisplayName(name, 'a name'), name)
})

t.test('a name that people read is not blank, not endless, and on one line', async (t) => {
  t.throws(() => checkDisplayName('', 'a name'), { code: 'invalid', message: "a name can't be blank" })
  t.throws(() => checkDisplayName(' \u00A0 ', 'a name'), { code: 'invalid' })
  t.throws(() => checkDisplayName('n'.repeat(256), 'a name'), { code: 'invalid', message: /255/ })
})

t.test('an email address has one @ and nothing that would end it in a mail’s header', async (t) => {
  for (const email of ['a@b', 'ada.lovelace+git@mail.example.com', "o'brien@example.com", 'ü@example.com'])
    t.doesNotThrow(() => checkEmail(email), email)
  const wrong = ['', '@', 'a@', '@b', 'a', 'a@b@c', 'a b@c', 'a@b c', 'a@b,c@d', 'a@b;c', '<a@b>', '"a"@b', 'a:b@c']
  for (const email of [...wrong, 'a\\b@c', 'a@b\nBcc: c@d', `${'a'.repeat(250)}@b.example`])
    t.throws(() => checkEmail(email), { code: 'invalid', message: /not an email address/ }, JSON.stringify(email))
})

for (const [what, character] of Object.entries(DANGEROUS)) {
  t.test(`no name and no address holds the character ${what}`, async (t) => {
    t.throws(() => checkUsername(`ali${character}ce`), { code: 'invalid' })
    t.throws(() => checkDisplayName(`Ali${character}ce`, 'a name'), { code: 'invalid', message: /control characters/ })
    t.throws(() => checkEmail(`ali${character}ce@example.com`), { code: 'invalid' })
  })
}

t.test('whatever is given, a rule answers with its own error or none', async () => {
  const rules = [checkUsername, checkEmail, (name: string) => checkDisplayName(name, 'a name')]
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...rules), (text, rule) => {
      try {
        rule(text)
      } catch (error) {
        return error instanceof Error && 'code' in error && error.code === 'invalid'
      }
      return true
    }),
  )
})

const alice = { username: 'Alice-Liddell', email: 'Alice@Example.com' }

t.test('a password has 8 characters at least and 72 bytes at most, and no other rule', async (t) => {
  for (const password of [
    'q7-x_4#k',
    'correct horse battery staple',
    'ñandú-ñu',
    '🦊🐻🐼🐨🐯🦁🐮🐷',
    `${'p'.repeat(71)}q`,
  ])
    t.doesNotThrow(() => checkNewPassword(new Secret(password, 'password'), alice), password)
})

t.test('a password is refused for a reason that can be acted on', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /8 characters/],
    ['1234567', /8 characters/],
    // Seven characters, though 28 bytes and 14 UTF-16 units.
    ['🦊🐻🐼🐨🐯🦁🐮', /8 characters/],
    ['p'.repeat(73), /72 bytes/],
    ['é'.repeat(37), /72 bytes/],
    ['correct\0horse', /NUL/],
    ['password', /too common/],
    ['PassWord', /too common/],
    ['12345678', /too common/],
    ['SunFlower', /too common/],
    ['87654321', /too common/],
    ['00000000', /too common/],
    ['qwerty-Qwerty-', /too common/],
    ['alice-liddell', /username/],
    ['ALICE-LIDDELL', /username/],
    ['alice@example.com', /email/],
  ]
  for (const [password, message] of cases) {
    const check = () => checkNewPassword(new Secret(password, 'password'), alice)
    t.throws(check, { code: 'invalid', message }, JSON.stringify(password))
  }
})

t.test('a refused password is not repeated in the refusal', async (t) => {
  for (const password of ['secret1', 'password123', `hunter2-${'x'.repeat(72)}`]) {
    try {
      checkNewPassword(new Secret(password, 'password'), { username: 'bob', email: null })
      t.fail('it was taken')
    } catch (error) {
      t.notOk(String(error).includes(password))
    }
  }
})
