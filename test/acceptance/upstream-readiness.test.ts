// Readiness asks the upstream with the gate's own credential: a gate whose credential was revoked would fail every request.
import type { IncomingMessage, ServerResponse } from 'node:http'
import t from 'tap'
import { httpUpstream, tcpUpstream } from '../git/upstream/stand-in.js'
import { until } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const CREDENTIAL = 'Basic Z2F0ZTpzZWNyZXQ='

async function readinessOf(world: World) {
  const { status, body } = await world.http('/-/readiness')
  const { upstream } = JSON.parse(body) as { upstream: string }
  return `${status} ${upstream}`
}

t.test('an upstream that rejects the credential is not ready, and the log says why', async (t) => {
  let status = 401
  const requests: IncomingMessage[] = []
  const upstream = await httpUpstream(t, (request, response: ServerResponse) => {
    requests.push(request)
    response.writeHead(status).end()
  })
  const world = await createWorld(t, { upstreamAuthorization: CREDENTIAL }, upstream)
  t.equal(await readinessOf(world), '503 failed')
  t.match(world.log, /"reason":"the upstream rejects the gate's credential \(401\)".*"msg":"upstream not ready"/)
  t.match(requests[0], { method: 'GET', headers: { authorization: CREDENTIAL } })

  const count = requests.length
  const answers = await Promise.all(Array.from({ length: 20 }, () => readinessOf(world)))
  t.ok(requests.length <= count + 1, 'many calls share one request')
  t.strictSame([...new Set(answers)], ['503 failed'])
  t.equal(world.log.match(/upstream not ready/g)?.length, 1, 'logged once')

  status = 403
  await until(async () => (await readinessOf(world)) === '503 failed' && world.log.includes('credential (403)'))
  for (const good of [404, 200, 302]) {
    status = good
    await until(async () => (await readinessOf(world)) === '200 ok')
    status = 503
    await until(async () => (await readinessOf(world)) === '503 failed')
  }
  t.match(world.log, /upstream ready again/)
  t.match(world.log, /the upstream responds with 503/)
  t.notMatch(world.log, /Z2F0ZTpzZWNyZXQ/)
})

t.test('without a credential, a 401 is ready: such servers let everybody read some repositories', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => void response.writeHead(401).end())
  t.equal(await readinessOf(await createWorld(t, {}, upstream)), '200 ok')
})

t.test('an upstream that accepts connections but does not respond is not ready', async (t) => {
  const world = await createWorld(t, {}, await tcpUpstream(t, () => undefined))
  t.equal(await readinessOf(world), '503 failed')
  t.match(world.log, /no response within 2000 ms/)
})
