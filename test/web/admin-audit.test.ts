// The audit log in the browser: filters, pages, one event, and its verification.
import t from 'tap'
import { formatHead } from '../../src/domain/audit/chain.js'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { administration } from './administration.js'

const PATH = '/-/admin/audit_logs'

/** The numbers of the rows in a list. */
const rowsIn = (body: string): number[] =>
  [...body.matchAll(/<a href="\/-\/admin\/audit_logs\/(\d+)">/g)].map(([, id]) => Number(id))

t.test('rows are filtered, and have pages', async (t) => {
  const { world, root } = await administration(t)
  const token = await world.issue('alice', ['api'], { name: 'ci' })
  await world.store.audit.record([
    auditEvent({ ...THE_GATE, via: 'git', username: 'alice', tokenId: token.token.id, ip: '10.0.3.17' }, world.now, {
      action: 'git.push',
      decision: 'refused',
      rule: 'no grant',
      repository: 'team/app',
    }),
    auditEvent({ ...THE_GATE, via: 'web', ip: '10.9.9.9' }, new Date(world.now.getTime() - 3 * DAY), {
      action: 'auth.refused',
      decision: 'refused',
      rule: 'wrong password',
    }),
  ])
  const { id: last } = await world.store.audit.head()
  const list = async (query: object) =>
    rowsIn((await root.get(`${PATH}?${new URLSearchParams({ ...query }).toString()}`)).body)
  t.strictSame(await list({ user: 'ALICE', action: 'git' }), [last - 1])
  t.strictSame(await list({ token: String(token.token.id) }), [last - 1, last - 2])
  t.strictSame(await list({ decision: 'refused', action: '' }), [last, last - 1])
  t.strictSame(await list({ decision: 'refused', since: '24h' }), [last - 1])
  t.strictSame(await list({ decision: 'refused', until: '1d' }), [last])
  t.strictSame(await list({ repository: 'team/*' }), [last - 1])
  t.match((await root.get(PATH)).body, '<option value="cut">revoked</option>', 'stored words have plain names')
  t.strictSame(await list({ ip: '10.9.9.9' }), [last])
  t.strictSame(await list({ user: 'nobody' }), [])
  t.match((await root.get(`${PATH}?ip=10.9.9.9`)).body, /3 days ago<\/time><small>\S+ \S+ UTC<\/small>/, 'and exactly')
  for (const [name, value] of Object.entries({ token: 'x', action: 'git.x', since: 'soon', until: '2026-02-40' })) {
    const answer = await root.get(`${PATH}?${name}=${value}`)
    t.equal(answer.status, 422, name)
    t.match(answer.body, `${name}: `)
  }
  t.equal((await root.get(`${PATH}?since=2026-02-31`)).status, 422, 'no such day')
  for (const query of ['decision=odd', 'before=x', 'after=-1'])
    t.equal((await root.get(`${PATH}?${query}`)).status, 400)

  const event = auditEvent({ ...THE_GATE, ip: '10.1.1.1' }, world.now, { action: 'git.fetch' })
  await world.store.audit.record(Array.from({ length: 120 }, () => event))
  const follow = async (body: string, rel: 'prev' | 'next') =>
    (await root.get(new RegExp(`href="([^"]+)" rel="${rel}"`).exec(body)![1]!.replaceAll('&amp;', '&'))).body
  const first = (await root.get(`${PATH}?ip=10.1.1.1`)).body
  t.equal(rowsIn(first)[0], last + 120)
  t.notMatch(first, 'rel="prev"')
  const second = await follow(first, 'next')
  t.strictSame([rowsIn(second)[0], rowsIn(second).length], [last + 70, 50])
  const third = await follow(second, 'next')
  t.strictSame([rowsIn(third)[0], rowsIn(third).length], [last + 20, 20])
  t.notMatch(third, 'rel="next"')
  const back = await follow(third, 'prev')
  t.strictSame(rowsIn(back), rowsIn(second))
  t.notMatch(await follow(back, 'prev'), 'rel="prev"', 'the newest')
})

t.test('one row is shown with all that it holds, and nothing of it does anything', async (t) => {
  const { world, root } = await administration(t)
  const evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
  await world.store.audit.record([
    auditEvent(
      { ...THE_GATE, via: 'git', username: evil, ip: evil, userAgent: evil, requestId: evil, impersonator: evil },
      world.now,
      {
        action: 'git.push',
        rule: evil,
        repository: evil,
        target: evil,
        details: { [evil]: evil },
        refs: [{ ref: `refs/heads/${evil}`, old: '0'.repeat(40), new: evil }],
      },
    ),
  ])
  const { id, hash } = await world.store.audit.head()
  for (const path of [PATH, `${PATH}/${id}`]) {
    const { body } = await root.get(path)
    t.notMatch(body, /<script>|<img/, path)
    t.match(body, '&lt;script&gt;', path)
  }
  t.match((await root.get(`${PATH}/${id}`)).body, hash)
  t.equal((await root.get(`${PATH}/${id + 1_000}`)).status, 404)
  t.equal((await root.get(`${PATH}/x`)).status, 404)
  t.equal((await root.get(`${PATH}/verify`)).headers['location'], PATH)
  for (const name of ['user', 'token', 'action', 'repository', 'ip', 'since', 'until'])
    t.notMatch((await root.get(`${PATH}?${name}=${encodeURIComponent(evil)}`)).body, /<script>|<img/, name)
})

t.test('a row leads to others like it', async (t) => {
  const { world, root } = await administration(t)
  const actor = { ...THE_GATE, via: 'git', username: 'alice', tokenId: 7, ip: '192.0.2.1' } as const
  await world.store.audit.record([
    auditEvent(actor, world.now, { action: 'git.fetch', repository: 'team/app' }),
    auditEvent(actor, world.now, { action: 'user.blocked', target: 'user:bob' }),
    auditEvent(actor, world.now, { action: 'token.revoked', target: 'token:9' }),
  ])
  const { id } = await world.store.audit.head()
  const links = async (row: number) =>
    [...(await root.get(`${PATH}/${row}`)).body.matchAll(/audit_logs\?([^"]+)"/g)].map(([, query]) => query)
  const same = ['user=alice', 'token=7', 'ip=192.0.2.1']
  t.strictSame(await links(id - 2), [...same, 'repository=team%2Fapp'])
  t.strictSame(await links(id - 1), [...same, 'user=bob'])
  t.strictSame(await links(id), [...same, 'token=9'])
})

t.test('the audit log can be verified', async (t) => {
  const { world, root } = await administration(t)
  const head = formatHead(await world.store.audit.head())
  t.match((await root.get(PATH)).body, head)
  const verify = async (text: string) => {
    const answer = await root.submit(`${PATH}/verify`, { head: text }, PATH)
    return answer.status === 303 ? (await root.get(PATH)).body : answer.body
  }
  t.match(await verify(''), /\d+ events are intact: 1 to \d+\. Checkpoint: \d+:/)
  t.match(await verify(` ${head} `), 'events are intact')
  t.match(await verify(head.replace(/.$/, (last) => (last === '0' ? '1' : '0'))), 'the log was rewritten')
  t.match(await verify('nonsense'), 'role="alert">A checkpoint is a number')
})
