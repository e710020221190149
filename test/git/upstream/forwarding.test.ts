import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { basic, http, raw } from '../../acceptance/http-client.js'
import { createWorld } from '../../acceptance/world.js'
import { bodyOf, COMMANDS, httpUpstream, kindAt } from './stand-in.js'

// What reaches an upstream, and what of its responses reaches the client.

const PULL = '/team/app.git/info/refs?service=git-upload-pack'
const PUSH = { method: 'POST', headers: { 'Content-Type': 'application/x-git-receive-pack-request' } } as const
const GIT = { 'Content-Type': 'application/x-git-upload-pack-advertisement' }

type Seen = { method: string; url: string; headers: IncomingHttpHeaders; body: string }

/** A gate before a server that notes what it was sent. */
async function createPair(
  t: Test,
  flags = {},
  answer = (response: ServerResponse) => void response.writeHead(200, GIT).end('0000'),
) {
  const seen: Seen[] = []
  const upstream = await httpUpstream(t, (request, response) => {
    void bodyOf(request).then((body) => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
      answer(response)
    })
  })
  const world = await createWorld(t, flags, upstream)
  await world.grant('alice', 'write', 'team/**')
  await world.grant('@anonymous', 'read', 'public/**')
  return { world, upstream, seen, password: await world.token('alice', 'write_repository') }
}

t.test('the gate’s credential replaces the client’s, and identity headers come from the gate only', async (t) => {
  const { world, seen, password } = await createPair(t, { upstreamAuthorization: 'Basic c2VjcmV0OnVwc3RyZWFt' })
  const forged = {
    'X-Forwarded-User': 'root',
    X_Forwarded_User: 'root',
    'X-Forwarded-For': '6.6.6.6',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'gopher',
    'Remote-User': 'root',
    Cookie: 'session=1',
    'PRIVATE-TOKEN': password,
    Forwarded: 'for=6.6.6.6',
    Connection: 'keep-alive, X-Secret',
    'X-Secret': password,
    'Proxy-Authorization': basic('a', password),
  }
  await world.http(PULL, {
    user: 'anything',
    password,
    headers: { ...forged, 'Git-Protocol': 'version=2', 'Accept-Language': 'de' },
  })
  const [request] = seen
  t.match(request, { method: 'GET', url: PULL })
  t.match(request?.headers, {
    authorization: 'Basic c2VjcmV0OnVwc3RyZWFt',
    'x-forwarded-user': 'alice',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': new URL(world.url).host,
    'x-forwarded-proto': 'http',
    'git-protocol': 'version=2',
    'accept-language': 'de',
  })
  const passed = [
    'accept-language',
    'authorization',
    'connection',
    'git-protocol',
    'host',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-forwarded-user',
  ]
  t.strictSame(Object.keys(request?.headers ?? {}).sort(), passed)
  t.notOk(JSON.stringify(seen).includes(password))

  await world.http('/public/site.git/info/refs?service=git-upload-pack')
  t.equal(seen[1]?.headers['x-forwarded-user'], undefined, 'an anonymous reader has no name')
})

t.test('a token does not reach the upstream when the client sends Expect', async (t) => {
  const { world, seen, password } = await createPair(t, {}, (response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-git-receive-pack-result' }).end('0000')
  })
  const answer = await world.http('/team/app.git/git-receive-pack', {
    ...PUSH,
    password,
    body: COMMANDS,
    headers: { ...PUSH.headers, Expect: '100-continue', Cookie: password },
  })
  t.equal(answer.status, 200)
  t.equal(seen.at(-1)?.body, COMMANDS)
  t.notOk(JSON.stringify(seen).includes(password))
  t.notOk(JSON.stringify(seen).includes(basic('', password)))
  t.equal(seen.at(-1)?.headers.expect, undefined)
})

t.test('the URL is built from the parsed request, below the upstream’s own path', async (t) => {
  const { seen, upstream } = await createPair(t)
  const world = await createWorld(t, {}, kindAt(`${upstream.url}/git/`))
  await world.grant('alice', 'write', 'team/**')
  const password = await world.token('alice', 'write_repository')
  const type = { 'Content-Type': 'application/x-git-upload-pack-request' }
  await world.http(`${PULL}&extra=1`, { password })
  await world.http('/team/app.git/git-upload-pack?service=git-receive-pack', {
    method: 'POST',
    password,
    body: '0014some wants......',
    headers: type,
  })
  await world.http(`/${PULL}`, { password })
  const expected = [`/git${PULL}`, '/git/team/app.git/git-upload-pack', `/git${PULL}`]
  t.strictSame(
    seen.map(({ url }) => url),
    expected,
  )
  const service = 'info/refs?service=git-upload-pack'
  const never = [
    `/team/../secret.git/${service}`,
    '/team/app.git/HEAD',
    '/team/app.git/objects/info/packs',
    `/team%2fapp.git/${service}`,
    `/team/%252e%252e/secret.git/${service}`,
  ]
  for (const path of never) await world.http(path, { password })
  t.equal(seen.length, expected.length, 'nothing else is forwarded')
})

t.test('only Git’s headers of a response pass', async (t) => {
  const extra = {
    'Set-Cookie': 'a=b',
    'WWW-Authenticate': 'Basic realm="x"',
    Location: 'http://evil.example',
    Server: 'x',
    'X-Powered-By': 'x',
    'Cache-Control': 'no-store, max-age=0',
  }
  const { world, password } = await createPair(
    t,
    {},
    (response) => void response.writeHead(200, { ...GIT, ...extra }).end('0000'),
  )
  const { status, headers, body } = await world.http(PULL, { password })
  t.strictSame([status, body, headers['cache-control']], [200, '0000', 'no-store, max-age=0'])
  for (const name of ['set-cookie', 'www-authenticate', 'location', 'server', 'x-powered-by'])
    t.equal(headers[name], undefined, name)
})

t.test('a response that is not Git’s becomes a 502 with gitgate’s text, and a 404 gitgate’s own', async (t) => {
  let answer: [number, Record<string, string>, string] = [200, {}, '']
  const { world, seen, password } = await createPair(
    t,
    {},
    (response) => void response.writeHead(answer[0], answer[1]).end(answer[2]),
  )
  const html = { 'Content-Type': 'text/html' }
  const wrong: (typeof answer)[] = [
    [401, { ...html, 'WWW-Authenticate': 'Basic realm="upstream"' }, 'give me your password'],
    [407, html, 'a proxy’s'],
    [300, html, 'a choice'],
    [200, html, '<html>a page</html>'],
    [200, { 'Content-Type': 'application/x-git-receive-pack-advertisement' }, 'another service'],
    [200, {}, 'no type'],
    [204, {}, ''],
  ]
  for (answer of wrong) {
    const { status, headers, body } = await world.http(PULL, { password })
    t.equal(status, 502, `${answer[0]} ${answer[2]}`)
    t.equal(headers['www-authenticate'], undefined)
    t.equal(headers['location'], undefined)
    t.match(body, /^The Git server did not answer this request\. The gate's log has the reason/)
    t.notOk(answer[2] !== '' && body.includes(answer[2]))
  }
  t.equal(seen.length, wrong.length)
  t.match(world.log, /the upstream responded with status 401/)
  t.match(world.log, /the upstream responded with Content-Type text\/html/)
  answer = [404, html, 'upstream’s own page']
  t.match(await world.http(PULL, { password }), {
    status: 404,
    body: /^The project you were looking for could not be found/,
  })
  t.match(await world.http('/public/x.git/info/refs?service=git-upload-pack'), {
    status: 401,
    headers: { 'www-authenticate': /^Basic realm="GitGate"/ },
  })
})

t.test('with an upstream, accounts have no implicit right and create nothing', async (t) => {
  const { world, seen, password } = await createPair(t)
  t.equal((await world.http('/alice/own.git/info/refs?service=git-receive-pack', { password })).status, 404)
  t.equal(seen.length, 0)
})

t.test('a gate that is its own upstream detects the loop', async (t) => {
  const { freePort } = await import('../../backends/backend.js')
  const port = String(await freePort())
  const world = await createWorld(t, { port }, kindAt(`http://127.0.0.1:${port}`))
  await world.grant('@anonymous', 'read', '**')
  t.equal((await http(world.url, PULL)).status, 508)
  t.match(world.log, /"rule":"loop"/)
  t.match(
    await raw(world.url, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 200/,
    'and goes on',
  )
})
