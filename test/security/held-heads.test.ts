// Attack: ten pushes of 80,000 commands each, 221 KB of gzip, whose packs are held back: the gate kept 126 MB for each, 1.26 GB for
// one account. Or heads that never end, of which a byte comes now and then.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Test } from 'tap'
import { PushHeads } from '../../src/git/http/authorized-request.js'
import { readPushHead } from '../../src/git/http/push-body.js'
import type { PushHead } from '../../src/protocol/push-head.js'
import { basic } from '../acceptance/http-client.js'
import { until } from '../acceptance/until.js'
import type { Person, World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import { ONE, parseHead, ZERO } from '../protocol/push-bytes.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** A head of as many commands, which create or delete branches. @param nameLength bytes of each name */
function headOf(
  verb: 'create' | 'delete',
  count: number,
  { capabilities = 'report-status', nameLength = 0 }: { capabilities?: string; nameLength?: number } = {},
): Buffer {
  const ids = verb === 'create' ? `${ZERO} ${ONE}` : `${ONE} ${ZERO}`
  const lines = Array.from({ length: count }, (_, index) => {
    const line = `${ids} ${`refs/heads/b${index}`.padEnd(nameLength, '-')}`
    return encodePktLine(index === 0 ? `${line}\0${capabilities}` : line)
  })
  return Buffer.concat([...lines, FLUSH])
}

t.test('a head takes three times its length of memory at most', async (t) => {
  const bytes = headOf('delete', 20_000)
  const used = (): number => {
    // Buffers that the first finds are freed by the second.
    collectGarbage()
    collectGarbage()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const held: PushHead[] = [parseHead(bytes)]
  const before = used()
  for (let count = 0; count < 8; count++) held.push(parseHead(bytes))
  const each = (used() - before) / (held.length - 1)
  t.ok(each < 3 * bytes.length, `${Math.round(each)} bytes for ${bytes.length}`)
})

/** Starts a push, and doesn't end its body. */
async function start(t: Test, { url }: World, user: Person, password: string, body: Buffer, isHeld: boolean) {
  const headers = {
    Authorization: basic(user, password),
    'Content-Type': 'application/x-git-receive-pack-request',
  }
  const call = request(`${url}/team/app.git/git-receive-pack`, { method: 'POST', headers, agent: false })
  call.on('error', () => undefined)
  t.teardown(() => call.destroy())
  if (isHeld) call.write(body)
  else call.end(body)
  const answer = once(call, 'response').then(async ([response]) => {
    const { statusCode, headers } = response as IncomingMessage
    const body = await text(response as IncomingMessage)
    call.destroy()
    return { status: statusCode, retryAfter: headers['retry-after'], body }
  })
  answer.catch(() => undefined)
  return { call, answer }
}

t.test("one account's held heads are bounded, and nobody else notices", async (t) => {
  const world = await createWorld(t)
  for (const user of ['alice', 'mallory'] as const) await world.grant(user, 'admin', 'team/**')
  const [alice, mallory] = [
    await world.token('alice', 'write_repository'),
    await world.token('mallory', 'write_repository'),
  ]
  // Long names, because writing many audit rows takes time.
  const long = headOf('create', 7_000, { nameLength: 1_000 })
  const held = [await start(t, world, 'alice', alice, long, true), await start(t, world, 'alice', alice, long, true)]
  const accepted = async () => (await world.store.audit.list({ action: 'git.push', limit: 3 })).length
  await until(async () => (await accepted()) === 2)

  const third = await start(t, world, 'alice', alice, long, true)
  t.match(await third.answer, { status: 503, retryAfter: '60', body: /too many refs at once/ })
  const multiplexed = await start(
    t,
    world,
    'alice',
    alice,
    headOf('delete', 7_000, { nameLength: 1_000, capabilities: 'report-status side-band-64k' }),
    false,
  )
  t.match(await multiplexed.answer, { status: 200, body: /\x03push refused: Your account is pushing too many refs/ })

  const push = async (user: Person, password: string, count: number) =>
    await (
      await start(t, world, user, password, headOf('delete', count), false)
    ).answer
  t.match(await push('alice', alice, 10), { status: 200, body: /unpack ok/ }, 'few refs')
  t.match(await push('mallory', mallory, 800), { status: 200, body: /unpack ok/ }, 'another account')
  for (const { call } of held) call.destroy()
  await until(async () => (await push('alice', alice, 800)).status === 200)
})

t.test('a head has a deadline', async (t) => {
  const world = await createWorld(t, {}, undefined, { intervals: { requestTimeoutMs: 200 } })
  await world.grant('alice', 'admin', 'team/**')
  const { answer } = await start(
    t,
    world,
    'alice',
    await world.token('alice', 'write_repository'),
    Buffer.from('00'),
    true,
  )
  t.match(await answer, { status: 408, body: /arrived too slowly/ })
})

t.test('the deadline moves with what has come', async (t) => {
  const heads = new PushHeads(20)
  const read = async (bytesIn: number) => {
    const body = new PassThrough()
    const context = {
      request: body as unknown as IncomingMessage,
      traffic: () => ({ bytesIn, bytesOut: 0 }),
      onEnd: () => undefined,
    }
    const reading = readPushHead(body, 'alice', context, heads)
    body.write(headOf('delete', 10).subarray(0, -4))
    return { body, reading }
  }
  const fast = await read(1_000_000)
  t.equal((await (await read(0)).reading).kind, 'late')
  fast.body.end(FLUSH)
  t.equal((await fast.reading).kind, 'head')
})
