// What `npm run recordings` says of a difference: enough to understand it, and no flood.
import t from 'tap'
import { summarize } from './summary.js'

const response = (title: string, header: string) =>
  [`## ${title}`, '', `GET /api/v4/${title}`, '  HTTP 200', `  x-frame-options: ${header}`, '', '  {}', ''].join('\n')
const responses = (header: string) =>
  ['# GET /version', '', ...Array.from({ length: 200 }, (_, index) => response(`call-${index}`, header))].join('\n')

t.test('a header that changed in every response takes a few lines', async (t) => {
  t.strictSame(summarize('api.txt', responses('DENY'), responses('SAMEORIGIN')).split('\n'), [
    'api.txt: 200 changed (of 200 entries)',
    '  GET /version › call-0 › GET /api/v4/call-0',
    '    - x-frame-options: DENY',
    '    + x-frame-options: SAMEORIGIN',
    '  GET /version › call-1 › GET /api/v4/call-1',
    '    the same change',
    '  and 198 more; 200 of all 200 have the change of the first',
    '  all: npm run recordings -- --all api.txt',
  ])
})

t.test('of a row that is one long line, the fields that changed are shown', async (t) => {
  const row = (fields: object) =>
    JSON.stringify({ action: 'user.added', target: 'user:alice', user_agent: 'x'.repeat(500), ...fields })
  const day = (...rows: string[]) => ['# 09:00 commands', '', ...rows, ''].join('\n')
  const [same, old] = [row({ ip: '192.0.2.1' }), row({ details: { name: 'a', admin: false } })]
  const now = row({ details: { name: 'a', admin: true, state: 'active' } }).replace('"a"', '<name>')
  t.strictSame(summarize('audit.txt', day(same, old.replace('"a"', '<name>')), day(same, now, same)).split('\n'), [
    'audit.txt: 1 changed, 1 added (of 3 entries)',
    '  09:00 commands › user.added user:alice',
    '    details.admin: false → true',
    '    details.state: (none) → "active"',
    '  09:00 commands › user.added user:alice',
    `    + ${same.slice(0, 150)}…`,
    '  all: npm run recordings -- --all audit.txt',
  ])
})

t.test('a long line of text is cut around what changed in it', async (t) => {
  const line = (end: string) => `# help\n\n${'word '.repeat(100)}${end}\n`
  const [, , removed = '', added = ''] = summarize('help.txt', line('old'), line('new')).split('\n')
  t.match(removed, /^ {4}- ….{20,40} old$/)
  t.match(added, /^ {4}\+ ….{20,40} new$/)
})

t.test('operations of an OpenAPI document are compared one by one', async (t) => {
  const document = (summary: string) =>
    JSON.stringify({ openapi: '3.1.0', paths: { '/a': { get: { summary }, post: { summary: 'b' } } } }, undefined, 2)
  t.match(
    summarize('openapi.txt', document('x'), document('y')),
    /: 1 changed \(of 3 entries\)\n {2}GET \/a\n {4}summary: "x" → "y"\n/,
  )
})

t.test('a new recording, one that is gone, and another order are told, too', async (t) => {
  const text = response('a', 'DENY')
  t.match(summarize('new.txt', '', text), /^new\.txt: 1 added \(of 1 entries\)/)
  t.match(summarize('old.txt', text, ''), /^old\.txt: 1 removed \(of 1 entries\)/)
  const [a, b] = [`# a\n${text}`, `# b\n${text}`]
  t.match(summarize('a.txt', a + b, b + a), /^a\.txt: only headings or the order changed \(of 2 entries\)\n {2}all: /)
})
