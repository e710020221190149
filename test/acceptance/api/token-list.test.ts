// GET /personal_access_tokens: whose tokens are listed, by which filters, in which order, on which page.
import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { within } from '../until.js'
import type { Test } from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import type { World } from '../world.js'
import { createWorld } from '../world.js'
import type { ApiAnswer } from './calls.js'
import { callsWith } from './calls.js'

type Listed = { readonly id: number; readonly name: string }

/** Asks for a list and returns the names in it. */
function lister(t: Test, world: World, secret: string) {
  return async (query = ''): Promise<string> => {
    const { status, body } = (await callsWith(world, secret)('GET', `/personal_access_tokens${query}`)) as {
      status: number
      body: Listed[]
    }
    t.equal(status, 200, query)
    return body.map(({ name }) => name).join(' ')
  }
}

t.test('everybody lists their own tokens, administrators those of all', async (t) => {
  const world = await createWorld(t)
  const mine = await world.issue('alice', ['api'], { name: 'mine' })
  await world.issue('alice', ['api'], { name: 'hidden', impersonation: true })
  await world.issue('mallory', ['read_api'], { name: 'other' })
  const root = (await world.issue('root', ['read_api'], { name: 'admin' })).secret.reveal()
  const [alice, mallory] = [await world.account('alice'), await world.account('mallory')]
  const ofAlice = lister(t, world, mine.secret.reveal())
  t.equal(await ofAlice(), 'mine', 'without impersonation tokens')
  t.equal(await ofAlice(`?user_id=${alice.id}`), 'mine')
  const ofRoot = lister(t, world, root)
  t.equal(await ofRoot(), 'admin other hidden mine')
  t.equal(await ofRoot(`?user_id=${alice.id}`), 'hidden mine')
  t.equal(await ofRoot(`?user_id=${mallory.id}`), 'other')

  const ask = callsWith(world, mine.secret.reveal())
  for (const id of [mallory.id, 999, '']) {
    const answer = await ask('GET', `/personal_access_tokens?user_id=${id}`)
    t.equal(answer.status, 401)
    t.same(answer.body, { message: '401 Unauthorized' })
  }
  for (const id of [999, '', '99999999999999999999']) {
    const answer = await callsWith(world, root)('GET', `/personal_access_tokens?user_id=${id}`)
    t.equal(answer.status, 404)
    t.same(answer.body, { message: '404 Not Found' })
  }
})

t.test('a token is listed with every field of GitLab, and without its secret', async (t) => {
  const world = await createWorld(t)
  const expiry = new Date(Math.ceil(world.now.getTime() / DAY) * DAY + 30 * DAY)
  const made = { name: 'ci', description: 'nightly', expiry }
  const { token, secret } = await world.issue('alice', ['read_repository', 'read_api'], made)
  const ask = callsWith(world, secret.reveal())
  await ask('GET', '/version')
  const { body } = (await ask('GET', '/personal_access_tokens')) as { body: object[] }
  t.match(body, [
    {
      id: token.id,
      name: 'ci',
      revoked: false,
      created_at: world.now.toISOString(),
      description: 'nightly',
      scopes: ['read_repository', 'read_api'],
      user_id: token.userId,
      active: true,
      expires_at: utcDate(expiry),
      expires_at_time: expiry.toISOString(),
      impersonation: false,
      repositories: [],
      refs: [],
      max_pushes: null,
      max_push_bytes: null,
      parent_id: null,
    },
  ])
  t.hasProps(body[0]!, ['last_used_at', 'last_used_ips'])
  t.notMatch(JSON.stringify(body), secret.reveal().slice(-20))
})

t.test('filters', async (t) => {
  const world = await createWorld(t)
  const midnight = new Date(Math.ceil(world.now.getTime() / DAY) * DAY)
  const day = (days: number) => new Date(midnight.getTime() + days * DAY)
  world.advance(midnight.getTime() - world.now.getTime())
  const list = lister(t, world, await world.token('root', 'read_api'))
  world.advance(DAY)
  const first = await world.issue('alice', ['api'], { name: 'Deploy 100%', expiry: day(5) })
  world.advance(DAY)
  const second = await world.issue('alice', ['api'], { name: 'deploy_old', expiry: day(10) })
  world.advance(DAY)
  const third = await world.issue('alice', ['api'], { name: 'never', expiry: 'never' })
  const of = `?user_id=${first.token.userId}`
  const ask = (query: string) => list(`${of}&${query}`)

  await t.test('by name', async (t) => {
    t.equal(await ask('search=deploy'), 'deploy_old Deploy 100%')
    t.equal(await ask('search=100%25'), 'Deploy 100%', 'no wildcard')
    t.equal(await ask('search=_'), 'deploy_old')
    t.equal(await ask('search='), 'never deploy_old Deploy 100%')
    t.equal(await ask(`search=${encodeURIComponent("' OR 1=1 --")}`), '')
  })

  await t.test('by the day they were made: both bounds belong to it', async (t) => {
    const at = encodeURIComponent(day(2).toISOString())
    t.equal(await ask(`created_after=${at}`), 'never deploy_old')
    t.equal(await ask(`created_before=${at}`), 'deploy_old Deploy 100%')
    t.equal(await ask(`created_after=${at}&created_before=${at}`), 'deploy_old')
    t.equal(await ask(`created_after=${utcDate(day(2))}`), 'never deploy_old', 'a date is its midnight')
    const later = encodeURIComponent(new Date(day(2).getTime() + 1).toISOString())
    t.equal(await ask(`created_after=${later}`), 'never')
    const zoned = encodeURIComponent(`${utcDate(day(2))}T02:00:00+02:00`)
    t.equal(await ask(`created_after=${zoned}`), 'never deploy_old', 'in another zone')
  })

  await t.test('by expiry: the later bound does not belong to it', async (t) => {
    t.equal(await ask(`expires_after=${utcDate(day(10))}`), 'deploy_old')
    t.equal(await ask(`expires_before=${utcDate(day(10))}`), 'Deploy 100%')
    t.equal(await ask(`expires_before=${utcDate(day(11))}`), 'deploy_old Deploy 100%')
  })

  await t.test('by last use', async (t) => {
    await callsWith(world, first.secret.reveal())('GET', '/version')
    const used = async () => (await world.store.tokens.find(first.token.id))?.lastUsedAt ?? null
    t.ok(await within(1_000, async () => (await used()) !== null))
    const at = encodeURIComponent(world.now.toISOString())
    t.equal(await ask(`last_used_after=${at}`), 'Deploy 100%')
    t.equal(await ask(`last_used_before=${at}`), 'Deploy 100%')
    t.equal(await ask(`last_used_before=${utcDate(day(0))}`), '')
    t.equal(await ask('sort=last_used_asc'), 'Deploy 100% deploy_old never', 'never used: last')
    t.equal(await ask('sort=last_used_desc'), 'never deploy_old Deploy 100%')
  })

  await t.test('by state', async (t) => {
    await world.store.tokens.revoke(GATE_CONTEXT, second.token.id, world.now)
    world.advance(day(5).getTime() - world.now.getTime())
    t.equal(await ask('state=active'), 'never')
    t.equal(await ask('state=inactive'), 'deploy_old Deploy 100%')
    t.equal(await ask('revoked=true'), 'deploy_old')
    t.equal(await ask('revoked=false'), 'never Deploy 100%')
    for (const yes of ['True', '1', 'yes']) t.equal(await ask(`revoked=${yes}`), 'deploy_old', yes)
    for (const no of ['False', '0', 'f']) t.equal(await ask(`revoked=${no}`), 'never Deploy 100%', no)
    t.equal(await ask('state=inactive&revoked=false'), 'Deploy 100%')
    t.equal(await ask('state=inactive&search=deploy&sort=name_asc'), 'Deploy 100% deploy_old', 'all must hold')
    await world.set('enforce_pat_expiration', 'false')
    t.equal(await ask('state=active'), 'never Deploy 100%', 'expiry not enforced')
  })
  t.equal(third.token.expiresAt, null)
})

t.test('orders', async (t) => {
  const world = await createWorld(t)
  const soon = (days: number) => new Date(world.now.getTime() + days * DAY)
  const list = lister(t, world, (await world.issue('alice', ['api'], { name: 'b', expiry: soon(2) })).secret.reveal())
  await world.issue('alice', ['api'], { name: 'c', expiry: soon(1) })
  await world.issue('alice', ['api'], { name: 'a', expiry: soon(3) })
  await world.issue('alice', ['api'], { name: 'a', expiry: 'never' })
  t.equal(await list(), 'a a c b', 'newest first')
  t.equal(await list('?sort=created_asc'), 'b c a a')
  t.equal(await list('?sort=created_desc'), 'a a c b')
  t.equal(await list('?sort=expires_asc'), 'c b a a')
  t.equal(await list('?sort=expires_desc'), 'a a b c')
  t.equal(await list('?sort=name_asc'), 'a a b c')
  t.equal(await list('?sort=name_desc'), 'c b a a')
  const bad = await callsWith(world, await world.token('alice', 'api'))('GET', '/personal_access_tokens?sort=id')
  t.same([bad.status, bad.body], [400, { error: 'sort does not have a valid value' }])
})

t.test('pages', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('alice', 'api')
  for (let i = 0; i < 24; i++) await world.issue('alice', ['api'], { name: `n${i}` })
  const ask = (query: string) => callsWith(world, secret)('GET', `/personal_access_tokens${query}`)
  const headers = ({ headers }: ApiAnswer) =>
    ['total', 'total-pages', 'page', 'per-page', 'next-page', 'prev-page'].map((name) => headers[`x-${name}`]).join(',')
  const links = ({ headers }: ApiAnswer) =>
    String(headers['link'])
      .split(', ')
      .map((link) => /^<(.*)>; rel="(.*)"$/.exec(link)?.slice(1) as [url: string, rel: string])

  const first = await ask('')
  t.equal(headers(first), '25,2,1,20,2,')
  t.equal((first.body as unknown[]).length, 20)
  t.equal(headers(await ask('?page=2')), '25,2,2,20,,1')
  const middle = await ask('?per_page=10&page=2&sort=name_asc&search=n')
  t.equal(headers(middle), '24,3,2,10,3,1')
  t.same(
    links(middle),
    [
      [1, 'prev'],
      [3, 'next'],
      [1, 'first'],
      [3, 'last'],
    ].map(([page, rel]) => [
      `${world.url}/api/v4/personal_access_tokens?per_page=10&page=${page}&sort=name_asc&search=n`,
      rel,
    ]),
  )
  t.equal(headers(await ask('?per_page=1000000')), '25,1,1,100,,')
  t.equal(headers(await ask('?page=-1&per_page=0')), '25,25,1,1,2,')
  const beyond = await ask('?page=1000000')
  t.same([beyond.status, beyond.body], [200, []])
  const none = await ask('?search=nothing')
  t.equal(headers(none), '0,1,1,20,,')

  const carried = ['private_token', 'access_token', 'bearer_token', 'private_token[]', 'PRIVATE_TOKEN']
  const loose = await ask(`?${carried.map((name) => `${name}=${secret}`).join('&')}&search=n?`)
  t.equal(loose.status, 200)
  t.notMatch(String(loose.headers['link']), secret, 'no link carries a token')
  t.match(String(loose.headers['link']), 'search=n%3F')

  const seen: number[] = []
  let next: string | undefined = '?per_page=7&pagination=keyset&order_by=id'
  while (next !== undefined) {
    const page = await ask(next)
    seen.push(...(page.body as Listed[]).map(({ id }) => id))
    const found: string | undefined = links(page).find(([, rel]) => rel === 'next')?.[0]
    next = found === undefined ? undefined : new URL(found).search
  }
  t.equal(new Set(seen).size, 25, 'the links lead through all of them')
})
