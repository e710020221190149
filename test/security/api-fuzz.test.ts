// Every call of the gate's own OpenAPI document, with what nobody should send: the gate answers, and gives nothing away.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HttpAnswer, HttpOptions } from '../acceptance/http-client.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { callsWith } from '../acceptance/api/calls.js'

type Parameter = { readonly name: string; readonly in: 'path' | 'query' }
type Operation = {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: { properties?: object } }>> }
}
type Call = { readonly method: string; readonly path: string; readonly operation: Operation }

const RUNS = 60
const MILLISECONDS_PER_CALL = 1_500
const STACK = /\bat .*:\d+:\d+\)?|node_modules|\.[jt]s:\d+|node:internal|SQLITE|FST_ERR|Error:/
const PASSWORD_HASH = /\$2[aby]\$\d\d\$/

const text = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '0',
    '-1',
    '1000000',
    '1e9',
    '99999999999999999999',
    'NaN',
    'null',
    'true',
    '2026-02-30',
    '2026-13-45T99:99:99Z',
    '9999999-01-01',
    '0000-00-00',
    'nobody',
    'alice',
    'root',
    '../../etc/passwd',
    'team/app',
    "' OR 1=1 --",
    'a\nb\r\nSet-Cookie: x=1',
    'a\u202Eb\u2066c',
    '\u0000',
    '\uD800',
    '__proto__',
    'constructor',
    'api',
    'x'.repeat(2_000),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
)
const number = fc.oneof(
  fc.constantFrom(0, -1, 1, 2, 3, 1.5, 1e308, -0, 2 ** 53, 1_000_000),
  fc.integer({ min: 1, max: 40 }),
)
const value: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 5, arbitrary: text },
  { weight: 3, arbitrary: number },
  { weight: 2, arbitrary: fc.constantFrom(true, false, null) },
  {
    weight: 2,
    arbitrary: fc.array(fc.oneof(text, number, fc.constantFrom('api', 'read_repository')), { maxLength: 5 }),
  },
  { weight: 1, arbitrary: fc.constantFrom({}, { a: {} }, [[[]]], nested(2_000), Array(5_000).fill('api')) },
)

/** What is right, now and then, so that calls also do what they are for. */
const right: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  name: fc.constantFrom('ci', 'main'),
  scopes: fc.constantFrom(['read_repository'], ['api'], ['write_repository', 'read_user']),
  expires_at: fc.constant('2099-01-31'),
  username: fc.stringMatching(/^[a-z]{8}$/),
  id: fc.constantFrom('1', '2', '3', '4', 'team%2Fapp'),
  user_id: fc.constantFrom('1', '2', '3'),
  impersonation_token_id: fc.constantFrom('1', '2', '3', '4', '5', '6'),
}
const valueOf = (name: string, other: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  Object.hasOwn(right, name) ? fc.oneof(other, right[name]!) : other

function nested(depth: number): unknown {
  let inner: unknown = 1
  for (let i = 0; i < depth; i++) inner = i % 2 === 0 ? [inner] : { a: inner }
  return inner
}

/** Every call that the document describes. */
function callsOf(document: { paths: Record<string, Record<string, Operation>> }): Call[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

/** A request for a call: its path and query, and all else. */
function requests({ method, path, operation }: Call): fc.Arbitrary<readonly [string, HttpOptions]> {
  const names = (place: string) =>
    (operation.parameters ?? []).filter((one) => one.in === place).map(({ name }) => name)
  const some = (keys: readonly string[]) =>
    fc.record(Object.fromEntries(keys.map((key) => [key, valueOf(key, value)])), { requiredKeys: [] })
  const segment = fc.oneof(number.map(String), text, fc.constantFrom('%zz', '%2e%2e', '%00'))
  const ids = fc.record(Object.fromEntries(names('path').map((name) => [name, valueOf(name, segment)])))
  const query = some([...names('query'), 'page', 'per_page', 'pagination'])
  const schema = Object.values(operation.requestBody?.content ?? {})[0]?.schema
  const body = some([...Object.keys(schema?.properties ?? {}), 'unknown'])
  return fc.tuple(ids, query, fc.oneof({ weight: 4, arbitrary: body.map(json) }, garbage)).map(([ids, query, sent]) => {
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      const id = String(ids[name])
      return /^(\w*%\w\w)+\w*$/.test(id) ? id : encode(id)
    })
    const words = Object.entries(query).flatMap(([name, value]) =>
      [value]
        .flat()
        .map((one) => `${Array.isArray(value) ? `${name}[]` : name}=${encode(String(one)).slice(0, 3_000)}`),
    )
    const target = `${filled}?${words.slice(0, 8).join('&')}`
    return [target, { method, ...(method === 'GET' ? {} : sent) }] as const
  })
}

const json = (body: unknown): HttpOptions => ({
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body),
})

const garbage: fc.Arbitrary<HttpOptions> = fc
  .tuple(
    fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data',
      'application/json; charset=utf-16',
      'application/xml',
      '*/*',
      ';',
    ),
    fc.oneof(
      fc.constantFrom(
        '',
        '{',
        'null',
        '[]',
        '"x"',
        '{"__proto__":{"admin":true},"constructor":{"prototype":{}}}',
        '['.repeat(50_000),
        '{"a":'.repeat(30_000),
        `name=${'%00'.repeat(100)}&scopes[]=api&scopes[`,
        'a=1&'.repeat(20_000),
        `"${'x'.repeat(300_000)}"`,
      ),
      fc.string({ unit: 'binary', maxLength: 200 }),
    ),
  )
  .map(([type, body]) => ({ headers: { 'Content-Type': type }, body }))

function encode(words: string): string {
  return encodeURIComponent(words.replace(/\p{Surrogate}/gu, '\uFFFD'))
}

/** Tokens to call with, as they are after whatever was done; and all that no answer may hold. */
async function arm(world: World, secrets: Set<string>): Promise<readonly (string | undefined)[]> {
  for (const person of ['alice', 'root', 'mallory'] as const)
    await world.store.accounts.setState(GATE_CONTEXT, (await world.account(person)).id, 'active')
  for (const [key, value] of [
    ['disable_personal_access_tokens', 'false'],
    ['impersonation_enabled', 'true'],
    ['require_personal_access_token_expiry', 'false'],
    ['max_personal_access_token_lifetime', 'null'],
  ] as const)
    await world.set(key, value)
  const restrictions = { repositories: ['team/*'], refs: [], within: null }
  const tokens = [
    await world.issue('root', ['api', 'sudo']),
    await world.issue('alice', ['api']),
    await world.issue('mallory', ['read_api']),
    await world.issue('alice', ['api'], { restrictions }),
  ].map(({ secret }) => secret.reveal())
  for (const token of tokens) secrets.add(token)
  return [...tokens, undefined]
}

function examine({ status, headers, body }: HttpAnswer, secrets: ReadonlySet<string>): void {
  const all = `${JSON.stringify(headers)}\n${body}`
  if (status >= 500) throw new Error(`status ${status}: ${body}`)
  if (STACK.test(all)) throw new Error(`tells of the inside: ${all}`)
  if (PASSWORD_HASH.test(all)) throw new Error('holds the hash of a password')
  for (const secret of secrets) if (all.includes(secret)) throw new Error(`holds a secret: ${all}`)
  if (body !== '' && headers['content-type'] === 'application/json') JSON.parse(body)
}

t.test('whatever is sent, the gate answers and gives nothing away', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('team/app')
  await world.grant('alice', 'admin', 'team/**')
  await world.setPassword('alice', 'correct horse battery')
  const secrets = new Set([readFileSync(join(world.folder, 'data', 'key'), 'utf8').trim()])
  let tokens = await arm(world, secrets)
  const document = await callsWith(world, tokens[0])('GET', '/openapi.json')
  const calls = callsOf(document.body as Parameters<typeof callsOf>[0])
  t.ok(calls.length > 25, `${calls.length} calls`)

  const statuses = new Map<number, number>()
  for (const call of calls) {
    await t.test(`${call.method} ${call.path}`, async () => {
      const sudo = fc.oneof(
        { weight: 8, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.constantFrom('nobody', '1', 'alice') },
      )
      const whole = fc.tuple(requests(call), fc.nat({ max: 4 }), fc.boolean(), sudo)
      const property = fc.asyncProperty(whole, async ([[target, options], who, isInQuery, sudo]) => {
        const token = tokens[who]
        const inHeader = token === undefined || isInQuery ? {} : { 'PRIVATE-TOKEN': token }
        const inQuery =
          token === undefined || !isInQuery ? '' : `&private_token=${token}${sudo === null ? '' : `&sudo=${sudo}`}`
        // Node sends none with DELETE.
        const length = { 'Content-Length': String(Buffer.byteLength(options.body ?? '')) }
        const headers = {
          ...options.headers,
          ...length,
          ...inHeader,
          ...(sudo === null || isInQuery ? {} : { Sudo: sudo }),
        }
        const answer = await world.http(target + inQuery, { ...options, headers })
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        examine(answer, secrets)
        const alive = await callsWith(world, tokens[0])('GET', '/version')
        if (alive.status === 200) return
        if (alive.status >= 500) throw new Error(`the gate answers ${alive.status} afterwards`)
        // What it was asked to do, it has done: blocked, revoked, switched off.
        tokens = await arm(world, secrets)
      })
      await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: MILLISECONDS_PER_CALL })
    })
  }

  t.comment([...statuses].map(([status, count]) => `${status}: ${count}`).join(', '))
  for (const status of [200, 201, 204, 400, 401, 403, 404]) t.ok(statuses.has(status), `some are ${status}`)
  t.notMatch(world.log, 'an API request failed')
  t.notMatch(world.log, 'request failed')
  for (const secret of secrets) t.notOk(world.log.includes(secret), 'nor is a secret logged')
  t.equal((await callsWith(world, (await arm(world, secrets))[0])('GET', '/user')).status, 200)
})
