import t from 'tap'
import { DAY, HOUR, MINUTE } from '../../../src/core/clock.js'
import type { Delivery } from '../../../src/domain/notifications/delivery.js'
import { retryAfter, unwantedBecause } from '../../../src/domain/notifications/delivery.js'
import { createEmailContent } from '../../../src/domain/notifications/email-content.js'
import type {
  NotificationPayload,
  NotificationToken,
  Recipient,
} from '../../../src/domain/notifications/notification.js'
import { ACCOUNT_NOTIFICATION_KINDS, parseNotificationKinds } from '../../../src/domain/notifications/notification.js'
import { renderEmail } from '../../../src/domain/notifications/render-email.js'

const NOW = new Date('2026-06-15T01:00:00.000Z')
const PAGE = 'https://git.example.com/tokens'
const ALICE: Recipient = { id: 1, username: 'alice', name: 'Alice', email: 'a@example.com', state: 'active', off: [] }

function token(name: string, expiresAt: Date | null = null): NotificationToken {
  return { id: 1, name, description: null, scopes: ['api'], createdAt: NOW, expiresAt, lastUsedAt: null }
}

function later(milliseconds: number): Date {
  return new Date(NOW.getTime() + milliseconds)
}

const contentOf = (payload: NotificationPayload) =>
  createEmailContent({ id: 1, createdAt: NOW, recipient: ALICE, payload }, NOW, PAGE)

t.test('the days that are left are counted by the calendar in UTC', async (t) => {
  const cases = [
    [new Date('2026-06-15T10:00:00.000Z'), 'today, on 2026-06-15 at 10:00 UTC'],
    [new Date('2026-06-16T00:00:00.000Z'), 'in 1 day, on 2026-06-16 at 00:00 UTC'],
    [new Date('2026-06-21T23:59:00.000Z'), 'in 6 days, on 2026-06-21 at 23:59 UTC'],
    [NOW, 'expired on 2026-06-15 at 01:00 UTC'],
  ] as const
  for (const [expiresAt, words] of cases) {
    const { tokens } = contentOf({ kind: 'expiring', tokens: [token('ci', expiresAt)], more: 0 })
    t.strictSame(tokens[0]?.lines[0], ['Expires', words])
  }
})

t.test('every kind has a subject that says it, and tokens that are named', async (t) => {
  const by = { kind: 'operator', name: 'deploy' } as const
  const addresses = [{ ip: '192.0.2.1', at: NOW }]
  const subjects: readonly (readonly [NotificationPayload, string])[] = [
    [{ kind: 'expiring', tokens: [token('a', later(2 * DAY))], more: 0 }, "Access token 'a' will expire in 2 days"],
    [
      { kind: 'expiring', tokens: [token('a', NOW), token('b', NOW)], more: 5 },
      '7 of your access tokens will expire in under 7 days',
    ],
    [{ kind: 'expired', tokens: [token('a', NOW)], more: 0 }, "Access token 'a' has expired"],
    [{ kind: 'expired', tokens: [token('a'), token('b')], more: 0 }, '2 of your access tokens have expired'],
    [{ kind: 'created', token: token('a'), by }, "Access token 'a' was created"],
    [{ kind: 'revoked', token: token('a'), by, rule: null }, "Access token 'a' was revoked"],
    [{ kind: 'rotated', token: token('a'), successor: token('a'), by, endsAt: NOW }, "Access token 'a' was rotated"],
    [{ kind: 'new-address', token: token('a'), addresses, more: 0 }, "Access token 'a' was used from a new address"],
  ]
  for (const [payload, subject] of subjects) {
    const content = contentOf(payload)
    t.equal(content.subject, subject)
    const { text, html } = await renderEmail(content)
    for (const part of [text, html]) {
      for (const word of [
        'Hello Alice,',
        PAGE,
        `gitgate user notifications alice --off ${payload.kind}`,
        content.opening,
      ])
        t.match(part, word)
      t.notMatch(part, /undefined|null|\[object/)
    }
    t.match(text, '  * a\n')
  }
  t.match(contentOf(subjects[1]![0]).more, 'and 5 more')
  t.match(contentOf(subjects[4]![0]).opening, 'by deploy, on the command line of the server')
})

t.test('changes of how one signs in say what, when, by whom and from where, and what to do', async (t) => {
  const by = { kind: 'owner', ip: '192.0.2.7' } as const
  const subjects = {
    'password-changed': 'Your password was changed',
    'email-changed': 'Your email address was changed',
    'two-factor-enabled': 'Two-factor authentication was turned on',
    'two-factor-disabled': 'Two-factor authentication was turned off',
    'recovery-codes-renewed': 'Your recovery codes were replaced',
  } as const
  t.strictSame(Object.keys(subjects), [...ACCOUNT_NOTIFICATION_KINDS])
  for (const kind of ACCOUNT_NOTIFICATION_KINDS) {
    const content = contentOf({ kind, by, at: NOW, to: null })
    t.equal(content.subject, subjects[kind])
    const { text, html } = await renderEmail(content)
    for (const part of [text, html]) {
      for (const word of ['on 2026-06-15 at 01:00 UTC, by you, from 192.0.2.7.', 'If not, ', 'administrator'])
        t.match(part, word)
      t.match(part, 'https://git.example.com/active_sessions')
      t.match(part, `gitgate user notifications alice --off ${kind}`)
      t.notMatch(part, /undefined|null|\[object|access token as/)
    }
  }
  const reset = contentOf({ kind: 'two-factor-disabled', by: { kind: 'account', name: 'root' }, at: NOW, to: null })
  t.match(reset.opening, 'turned off for your account on 2026-06-15 at 01:00 UTC, by root.')
})

t.test('what is in names is text in the HTML, and a long name is cut in the subject', async (t) => {
  const evil = `<a href="https://evil.example">'&`
  const content = contentOf({ kind: 'created', token: { ...token(evil), description: evil }, by: { kind: 'gate' } })
  const { text, html } = await renderEmail(content)
  t.match(text, `  * ${evil}\n    Description: ${evil}\n`)
  t.notMatch(html, '<a href="https://evil')
  t.equal(html.match(/&lt;a href=&quot;https:\/\/evil\.example&quot;&gt;&#39;&amp;/g)?.length, 3)
  const long = contentOf({ kind: 'created', token: token(`${'x'.repeat(100)}\r\n`), by: { kind: 'gate' } })
  t.equal(long.subject, `Access token '${'x'.repeat(80)}…' was created`)
})

t.test('a try that failed is followed by another, later each time, an hour at most', async (t) => {
  t.strictSame(
    [0, 1, 2, 5, 6, 100, 2_000].map((attempts) => retryAfter(attempts)),
    [MINUTE, 2 * MINUTE, 4 * MINUTE, 32 * MINUTE, HOUR, HOUR, HOUR],
  )
})

t.test('what has become unwanted is not sent', async (t) => {
  const because = (given: Partial<Recipient>, channel: Delivery['channel'] = { kind: 'mail' }) =>
    unwantedBecause({
      id: 1,
      attempts: 0,
      leasedUntil: NOW,
      channel,
      notification: {
        id: 1,
        createdAt: NOW,
        recipient: { ...ALICE, ...given },
        payload: { kind: 'created', token: token('a'), by: { kind: 'gate' } },
      },
    })
  t.equal(because({}), undefined)
  t.equal(because({ off: ['revoked'] }), undefined)
  t.match(because({ off: ['created'] }), /turned these notifications off/)
  t.match(because({ state: 'blocked' }), /blocked/)
  t.match(because({ email: null }), /no email address/)
})

t.test('kinds are read from a list, and what is none is named', async (t) => {
  t.strictSame(parseNotificationKinds('created, new-address'), ['created', 'new-address'])
  for (const text of ['', 'created,', 'all', 'constructor'])
    t.throws(() => parseNotificationKinds(text), { code: 'usage', message: /the kinds are expiring, / })
})
