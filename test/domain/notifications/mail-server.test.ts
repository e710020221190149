import { inspect } from 'node:util'
import t from 'tap'
import { loadConfig } from '../../../src/config/config.js'
import { parseMailbox, parseSmtpServer } from '../../../src/config/smtp-url.js'

t.test('the URL of a mail server says where it is, and how to sign in', async (t) => {
  t.match(parseSmtpServer('smtp://mail.example.com'), { host: 'mail.example.com', port: 587, implicitTls: false })
  t.match(parseSmtpServer('smtp://127.0.0.1:2525/'), { host: '127.0.0.1', port: 2525, credentials: undefined })
  t.match(parseSmtpServer('smtps://[::1]'), { host: '::1', port: 465, implicitTls: true })
  const { credentials } = parseSmtpServer('smtps://gate%40example.com:p%2Fss%3A@mail.example.com')
  t.equal(credentials?.user, 'gate@example.com')
  t.equal(credentials?.password.reveal(), 'p/ss:')
})

t.test('a mistake is named by its variable, and never repeats the secret', async (t) => {
  for (const url of [
    'geheim',
    'smtp:geheim',
    'http://user:geheim@example.com',
    'smtp://user:geheim@example.com/path',
    'smtp://user:geheim@example.com?pool=true',
    'smtp://geheim@example.com',
    'smtp://user:geheim%ZZ@example.com',
    'smtp://user:geheim@example.com:port',
  ]) {
    try {
      loadConfig({}, { GITGATE_SMTP_URL: url }, undefined)
      t.fail(url)
    } catch (error) {
      t.match(error, { code: 'configuration', message: /^GITGATE_SMTP_URL: (takes|must|can.t)/ }, url)
      t.notMatch(inspect(error), 'geheim')
    }
  }
  const config = loadConfig({}, { GITGATE_SMTP_URL: 'smtp://user:geheim@example.com' }, undefined)
  t.notMatch(inspect(config, { depth: 9 }) + JSON.stringify(config), 'geheim')
})

t.test('the sender is an address, perhaps with a name', async (t) => {
  t.strictSame(parseMailbox('gate@example.com'), { name: '', address: 'gate@example.com' })
  t.strictSame(parseMailbox(' "Git Gate" <gate@example.com>'), { name: 'Git Gate', address: 'gate@example.com' })
  for (const text of ['', 'gate', 'Gate <gate>', 'a@b, c@d', 'a@b\r\nBcc: c@d', '<a@b> x', 'Gate gate@example.com'])
    t.throws(() => parseMailbox(text), { code: 'configuration' }, text)
})
