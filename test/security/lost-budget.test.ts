// Attack, or bad luck: a push ends between the moment it is taken from its token's budget and the moment it is handed to
// git. What was taken is lost, so that a token for an agent can be used up without a single push.
import { once } from 'node:events'
import { request } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { parseBudget } from '../../src/domain/tokens/budget.js'
import { basic } from '../acceptance/http-client.js'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'

const HEAD = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/new\0report-status`
const COMMANDS = `${(HEAD.length + 4).toString(16).padStart(4, '0')}${HEAD}0000`

async function open(t: Test) {
  const world = await createWorld(t)
  await world.grant('alice', 'write', 'team/**')
  await world.createRepository('team/app')
  const budget = parseBudget('5', '10M')
  const { token, secret } = await world.issue('alice', ['write_repository'], { budget })
  const spent = async () => (await world.store.tokens.find(token.id))?.spent
  return { world, secret: secret.reveal(), spent }
}

/** Begins a push; without a length it comes in chunks. */
function begin({ url }: World, secret: string, length?: number) {
  const headers = {
    Authorization: basic('alice', secret),
    'Content-Type': 'application/x-git-receive-pack-request',
    ...(length === undefined ? {} : { 'Content-Length': length }),
  }
  const call = request(`${url}/team/app.git/git-receive-pack`, { method: 'POST', headers, agent: false })
  call.on('error', () => undefined)
  call.write(COMMANDS)
  return call
}

/** Holds the calls of `spend` from one on, after they have taken what they take. */
function holdSpending(t: Test, { store }: World, from: number) {
  const { tokens } = store
  const spend = tokens.spend.bind(tokens)
  let [calls, arrive, release] = [0, (): void => undefined, (): void => undefined]
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const released = new Promise<void>((resolve) => (release = resolve))
  t.teardown(() => release())
  const held: typeof tokens.spend = async (id, amount) => {
    const spending = await spend(id, amount)
    calls += 1
    if (calls === from) {
      arrive()
      await released
    }
    return spending
  }
  Object.assign(tokens, { spend: held })
  return { arrived, release: () => release() }
}

for (const length of [COMMANDS.length + 1_000, undefined]) {
  const how = length === undefined ? 'in chunks' : 'with its length'

  t.test(`a push that can't be recorded costs nothing: ${how}`, async (t) => {
    const { world, secret, spent } = await open(t)
    const { audit } = world.store
    const record = audit.record.bind(audit)
    const failing: typeof audit.record = (events) =>
      events.some(({ action }) => action === 'git.push')
        ? Promise.reject(new Error('the disk of the database is full'))
        : record(events)
    Object.assign(audit, { record: failing })
    const call = begin(world, secret, length)
    call.end(Buffer.alloc(1_000))
    const [answer] = (await once(call, 'response')) as [AsyncIterable<Buffer>]
    let text = ''
    for await (const chunk of answer) text += chunk.toString()
    t.match(text, /ng refs\/heads\/new gitgate can't record pushes now/)
    t.same(await spent(), { pushes: 0, bytes: 0 })
  })

  t.test(`a push whose client leaves while it is taken costs nothing: ${how}`, async (t) => {
    const { world, secret, spent } = await open(t)
    const spending = holdSpending(t, world, 1)
    const call = begin(world, secret, length)
    await spending.arrived
    call.destroy()
    await until(() => world.log.includes('"decision":"aborted"'))
    spending.release()
    await until(async () => (await spent())?.pushes === 0)
    t.same(await spent(), { pushes: 0, bytes: 0 })
    t.same(await world.store.audit.list({ action: 'git.pushed', limit: 1 }), [])
  })
}

t.test('a part of a pack that is taken while its client leaves is given back', async (t) => {
  const { world, secret, spent } = await open(t)
  const spending = holdSpending(t, world, 2)
  const call = begin(world, secret)
  call.write(Buffer.alloc(1_000))
  await spending.arrived
  t.ok(((await spent())?.bytes ?? 0) > 1_000_000)
  call.destroy()
  await until(() => world.log.includes('"decision":"aborted"'))
  spending.release()
  await until(async () => ((await spent())?.bytes ?? 0) <= COMMANDS.length)
  t.same(await spent(), { pushes: 1, bytes: COMMANDS.length }, 'what was handed to git counts')
})
