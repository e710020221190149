import fc from 'fast-check'
import t from 'tap'
import { DAY, HOUR, MINUTE, relativeTime, SECOND, utcTime } from '../../src/core/clock.js'
import { browserName } from '../../src/web/browser-name.js'
import { parseLocalPath } from '../../src/web/local-path.js'
import { calendarDay, timeTag } from '../../src/web/time.js'

const NOON = new Date('2026-11-24T12:00:00Z')

t.test('instants as people say them', async (t) => {
  const table: Record<string, number> = {
    'just now': -10 * SECOND,
    'in a moment': 10 * SECOND,
    '50 seconds ago': -50 * SECOND,
    '1 minute ago': -MINUTE,
    '2 hours ago': -2 * HOUR,
    'in 8 hours': 8 * HOUR,
    '1 day ago': -DAY,
    'in 90 days': 90 * DAY,
    '45 days ago': -45 * DAY,
    'in 6 months': 180 * DAY,
    '2 years ago': -730 * DAY,
  }
  for (const [words, distance] of Object.entries(table))
    t.equal(relativeTime(new Date(NOON.getTime() + distance), NOON), words)
  t.equal(utcTime(NOON), '2026-11-24 12:00:00 UTC')
  t.equal(calendarDay(NOON), '24 Nov 2026')
  t.equal(
    timeTag(NOON, NOON),
    '<time datetime="2026-11-24T12:00:00.000Z" title="2026-11-24 12:00:00 UTC">just now</time>',
  )
})

t.test('browsers by the names that people know', async (t) => {
  const table: Record<string, string | null> = {
    'Firefox on Linux': 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
    'Edge on Windows':
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0',
    'Chrome on Android':
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36',
    'Safari on iOS':
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1',
    'Safari on macOS':
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15',
    'A browser': null,
  }
  for (const [words, userAgent] of Object.entries(table)) t.equal(browserName(userAgent), words)
})

t.test('paths of this gate, and nothing else', async (t) => {
  for (const path of ['/', '/-/user_settings/password?a=b%20c', '/team/app']) t.equal(parseLocalPath(path), path)
  for (const other of [
    '',
    '//x',
    '/\\x',
    '/.//x',
    '/a/..//x',
    '/%2e//x',
    '/a/%2E%2e//x/y',
    '/a\\b',
    '/\t/x',
    'https://x',
    ' /',
    '/\n',
    '/ä',
    ['/'],
    undefined,
    `/${'a'.repeat(2_000)}`,
  ])
    t.equal(parseLocalPath(other), undefined, JSON.stringify(other))
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2F',
    '%5c',
    '\\',
    '@',
    ':',
    '?',
    '#',
    'x',
    'evil.example',
    'https:',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const path = parseLocalPath(`/${pieces.join('')}`)
      const base = 'https://git.example.com'
      return path === undefined || new URL(path, base).origin === base
    }),
  )
})
