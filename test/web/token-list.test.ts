// The list of tokens, their rotation, and the preview before another server.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import type { BackendKind } from '../backends/backend.js'
import { create, open, signedIn, TOKENS } from './token-forms.js'
import { DAY } from '../../src/core/clock.js'

t.test('the list: states, search, order, pages', async (t) => {
  const { world, alice } = await open(t)
  const names = async (query = '') => {
    const { body } = await alice.get(`${TOKENS}${query}`)
    return [...body.matchAll(/data-label="Token"><span><strong>([^<]+)</g)].map(([, name]) => name)
  }
  const inDays = (days: number) => new Date(world.now.getTime() + days * DAY)
  await world.issue('alice', ['read_user'], { name: 'endless', expiry: 'never' })
  await world.issue('alice', ['api'], { name: 'Soon', expiry: inDays(3), description: 'For 100% of it' })
  const restrictions = { repositories: ['team/app'], refs: [], within: null }
  await world.issue('alice', ['read_repository'], { name: 'later', expiry: inDays(60), restrictions })
  const gone = await world.issue('alice', ['api'], { name: 'gone' })
  await world.store.tokens.revoke(GATE_CONTEXT, gone.token.id, world.now)
  await world.issue('alice', ['api'], { name: 'past', expiry: inDays(1) })
  world.advance(DAY)
  const again = await signedIn(world, 'alice')
  for (const [name, value] of again.cookies) alice.cookies.set(name, value)

  t.same(await names(), ['Soon', 'later', 'endless'], 'active ones, the next to end first')
  t.same(await names('?state=expiring'), ['Soon'])
  t.same(await names('?state=inactive&sort=name_asc'), ['gone', 'past'])
  t.same(await names('?state=all&sort=created_desc'), ['past', 'gone', 'later', 'Soon', 'endless'])
  for (const [search, found] of Object.entries({ SOON: 'Soon', '100%': 'Soon', user: 'endless', 'team/a': 'later' }))
    t.same(await names(`?search=${encodeURIComponent(search)}`), [found], search)
  t.same(await names('?search=%5B'), [], 'the form in which lists are kept is not what people see')
  t.match((await alice.get(`${TOKENS}?search=nothing`)).body, 'No matching tokens')
  t.equal((await alice.get(`${TOKENS}?state=strange`)).status, 400)

  for (let i = 0; i < 98; i++) await world.issue('alice', ['api'], { name: `n${i}` })
  t.equal((await names()).length, 100)
  t.same(await names('?page=2'), ['n97'])
  t.match((await alice.get(`${TOKENS}?sort=name_asc`)).body, /1.{1,3}100 of 101.*sort=name_asc&amp;page=2/s)
})

t.test('rotation: the policies, grace, and what has none', async (t) => {
  const { world, alice } = await open(t)
  const { token } = await world.issue('alice', ['api'], {
    name: 'old',
    expiry: new Date(world.now.getTime() + 90 * DAY),
  })
  const rotate = `${TOKENS}/${token.id}/rotate`
  await world.set('max_personal_access_token_lifetime', '20')
  const refused = await alice.submit(rotate, { expiry: '21d' })
  t.equal(refused.status, 422)
  t.match(refused.body, 'Tokens must expire by')
  t.equal((await alice.submit(rotate, { expiry: '7d', grace: '2y' })).status, 400, 'only what is offered')
  t.equal((await alice.submit(rotate, { expiry: '7d', grace: '24h' })).status, 303)
  t.match((await alice.get(TOKENS)).body, /Token .*old.*created.*The old token keeps working until.*Rotated/s)
  const second = await alice.get(rotate)
  t.equal(second.headers['location'], TOKENS)
  t.match((await alice.get(TOKENS)).body, 'old was already revoked or rotated, or has expired.')
  t.equal((await alice.submit(rotate, { expiry: '7d' }, TOKENS)).status, 303)
  t.match((await alice.get(TOKENS)).body, 'role="alert">old was already revoked')
  t.equal((await world.store.tokens.list({})).length, 2, 'no third one')
})

t.test('before another server a preview says what it can not know', async (t) => {
  const elsewhere: BackendKind = {
    name: 'nothing',
    programs: [],
    cannot: {},
    start: async () => ({ url: 'http://127.0.0.1:9', createRepository: async () => '', adopt: () => undefined }),
  }
  const { world, alice } = await open(t, elsewhere)
  await world.grant('alice', 'write', 'team/*')
  const preview = async (fields: Readonly<Record<string, string>>) =>
    (await alice.submit(`${TOKENS}/preview`, { scopes: 'write_repository', ...fields }, `${TOKENS}/new`)).body
  t.match(await preview({ repositories: 'team/app' }), 'The repositories are on another server')
  t.match(await preview({ repositories: '/etc' }), 'is not a repository pattern')
  t.match(await preview({ try_ref: 'main' }), 'Enter a repository.')
  t.match(await preview({ try_ref: 'main', try_repository: 'team/app' }), /refs\/heads\/main.*>yes</s)
  t.match(
    await preview({ try_ref: 'main', try_repository: 'other/app' }),
    'the account can&#39;t push to the repository',
  )
  t.match(
    await preview({ repositories: 'team/*', try_ref: 'main', try_repository: 'other/app' }),
    /The token doesn&#39;t cover other.app\./,
  )
  await create(alice, { repositories: 'team/app' })
  t.match((await alice.get(TOKENS)).body, /git clone http:\/\/alice@[^/]+\/team\/app\.git/)
  await create(alice, { repositories: 'team/*' })
  t.match((await alice.get(TOKENS)).body, /git clone http:\/\/alice@[^/]+\/GROUP\/NAME\.git/)
})

t.test('what the settings do to an expiry is said where it stands', async (t) => {
  const { world, alice } = await open(t)
  await world.issue('alice', ['api'], { name: 'long', expiry: new Date(world.now.getTime() + 60 * DAY) })
  const set = (key: 'max_personal_access_token_lifetime' | 'enforce_pat_expiration', value: string) =>
    world.store.settings.set(GATE_CONTEXT, new Map([[key, value]]), world.now)
  const list = async () => (await alice.get(TOKENS)).body
  t.notMatch(await list(), /longer than is allowed|not enforced/)
  t.notMatch((await alice.get(`${TOKENS}/new`)).body, 'A mail tells you', 'the gate has no mail server')
  await set('max_personal_access_token_lifetime', '10')
  t.match(await list(), 'exceeds the maximum lifetime: revoked within three hours')
  await set('max_personal_access_token_lifetime', 'null')
  await set('enforce_pat_expiration', 'false')
  t.match(await list(), 'still works: expiry is not enforced')
  t.match((await alice.get(`${TOKENS}/new`)).body, 'Expiry is not enforced at the moment: tokens keep working after it')
  t.equal((await create(alice, { expiry: '30d' })).status, 303)
  t.match(await list(), 'It works until it is revoked')
})
