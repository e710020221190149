import { setImmediate } from 'node:timers/promises'
import { getIntrospectionQuery, parse } from 'graphql'
import t from 'tap'
import { excessOf } from '../../src/api/graphql/limits.js'
import { createWorld } from '../acceptance/world.js'

// Attack: GraphQL without a token, with 5 to 10 KB of fragments that overlap and that no operation uses. Limits counted only what
// operations select; validation, which compares fields with each other, took 0.1 to 0.25 s for each such query.

const repeat = (count: number, part: (index: number) => string): string =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ')

const COSTLY: Readonly<Record<string, string>> = {
  'one unused fragment': `{ metadata { version } } fragment f on CurrentUser { ${'id '.repeat(2_000)} }`,
  'unused fragments': `{ metadata { version } } ${repeat(40, (i) => `fragment f${i} on Query { ${'currentUser { id } '.repeat(10)} }`)}`,
  'unused fragments that spread each other': repeat(
    190,
    (i) => `fragment f${i} on Query { ...f${(i + 1) % 190} ...f${(i + 2) % 190} }`,
  ),
  'many operations': repeat(480, (i) => `query q${i} { a b }`),
  // Attack: each alias searched all tokens of the account: 110 of them, in 5 KB, took 0.4 to 1 s with 3,000 to 10,000 tokens.
  'aliases of a connection': `{ currentUser { ${repeat(6, (i) => `a${i}: personalAccessTokens(search: "z${i}") { count }`)} } }`,
  'a connection in fragments': `{ currentUser { ${repeat(6, (i) => `a${i}: id ...f`)} } } fragment f on CurrentUser { personalAccessTokens { count } }`,
  'inline fragments': `{ ${'... on Query { '.repeat(400)} currentUser ${'}'.repeat(400)} }`,
}

for (const [name, query] of Object.entries(COSTLY)) {
  t.test(`${name} are refused by their cost, before validation`, async (t) => {
    t.match(excessOf(parse(query))?.message, /complexity|depth|at most/)
    const world = await createWorld(t)
    const ways = [
      { path: '/api/graphql', options: post(query) },
      { path: `/api/graphql?query=${encodeURIComponent(query)}`, options: {} },
    ]
    for (const { path, options } of ways) {
      // A query beyond Node's bound for headers does not even get here.
      if (path.length > 16_384) continue
      const { body } = await world.http(path, options)
      t.match(JSON.parse(body), { errors: [{ message: /complexity|depth|large|at most/ }] })
    }
  })
}

t.test('some aliases of a connection are answered', async (t) => {
  t.equal(
    excessOf(parse(`{ currentUser { ${repeat(5, (i) => `a${i}: personalAccessTokens { count }`)} } }`)),
    undefined,
  )
})

// Attack: all connections of a query were resolved in one turn of the event loop: five stopped the gate for 0.6 s with 20,000 tokens.
t.test('other requests come between the connections of a query', async (t) => {
  const world = await createWorld(t)
  const { secret } = await world.issue('alice', ['read_api'])
  const search = world.store.tokens.search.bind(world.store.tokens)
  const loop = { turn: 0, isDone: false }
  const turns: number[] = []
  t.intercept(world.store.tokens, 'search', {
    value: (...args: Parameters<typeof search>) => {
      turns.push(loop.turn)
      return search(...args)
    },
  })
  const query = `{ ${repeat(5, (i) => `u${i}: currentUser { personalAccessTokens { count } }`)} }`
  const pending = world
    .http('/api/graphql', { ...post(query), headers: { ...post(query).headers, 'PRIVATE-TOKEN': secret.reveal() } })
    .finally(() => (loop.isDone = true))
  while (!loop.isDone) {
    await setImmediate()
    loop.turn += 1
  }
  t.match((await pending).body, /"u4":\{"personalAccessTokens":\{"count":1\}\}/)
  t.equal(new Set(turns).size, 5)
})

t.test('without a token, introspection is answered and nothing else', async (t) => {
  const world = await createWorld(t)
  const ask = async (query: string): Promise<unknown> =>
    JSON.parse((await world.http('/api/graphql', post(query))).body) as unknown
  t.match(await ask(getIntrospectionQuery()), { data: { __schema: { queryType: { name: 'Query' } } } })
  t.strictSame(await ask('{ currentUser { id } metadata { version } }'), {
    data: { currentUser: null, metadata: null },
  })
})

function post(query: string) {
  return { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ query }) }
}
