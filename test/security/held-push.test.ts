// Attack: a push sends its commands, which are decided, and holds its pack back. Meanwhile the ref is protected, or the
// pusher's role lowered. Then the pack comes, and the ref lands as if nothing had changed.
import { Access } from '../../src/domain/access/access.js'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import type { BackendKind } from '../backends/backend.js'
import { nginx } from '../backends/nginx.js'
import { basic } from '../acceptance/http-client.js'
import { requireProgram } from '../acceptance/programs.js'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { commitAhead } from '../acceptance/pushes.js'
import { createWorld } from '../acceptance/world.js'

// No look at the epoch but the push's own.
const NEVER_MS = 2 ** 30

const packet = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text

async function populate(t: Test, kind?: BackendKind, epochPollMs = NEVER_MS) {
  const world = await createWorld(t, {}, kind, { intervals: { epochPollMs } })
  await world.grant('alice', 'admin', 'team/**')
  const { disk, old, next, pack } = await commitAhead(world)
  const password = await world.token('alice', 'write_repository')
  const main = () => world.git.ask(['-c', 'safe.directory=*', '--git-dir', disk, 'rev-parse', 'refs/heads/main'])
  return { world, old, next, pack, password, main }
}

/** Sends the commands of a push and waits until the gate has handed it over. */
async function holdBack(world: World, password: string, commands: readonly string[]) {
  const headers = { Authorization: basic('alice', password), 'Content-Type': 'application/x-git-receive-pack-request' }
  const call = request(`${world.url}/team/app.git/git-receive-pack`, { method: 'POST', headers, agent: false })
  const [first = '', ...others] = commands
  call.write([`${first}\0report-status`, ...others].map(packet).join('') + '0000')
  await until(async () => (await world.store.audit.list({ action: 'git.push', limit: 1 })).length > 0)
  const answer = once(call, 'response').then(async ([response]) => {
    let text = ''
    for await (const chunk of response as IncomingMessage) text += String(chunk)
    return text
  })
  return { call, answer }
}

const CHANGES: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  'is protected': async ({ store, now }) =>
    store.protections.put(
      GATE_CONTEXT,
      { repositories: '**', refs: 'refs/heads/main', push: 'nobody', force: 'nobody', delete: 'nobody' },
      now,
    ),
  'was for admins, and the role is lowered': (world) => world.grant('alice', 'write', 'team/**'),
}

for (const [kind, options] of [
  [undefined, {}],
  [nginx, { skip: requireProgram(...nginx.programs) }],
] as const) {
  for (const [change, make] of Object.entries(CHANGES)) {
    t.test(`a ref that ${change} while its pack is held back: ${kind?.name ?? 'embedded'}`, options, async (t) => {
      const { world, old, next, pack, password, main } = await populate(t, kind)
      const rule = {
        repositories: '**',
        refs: 'refs/heads/main',
        push: 'admin',
        force: 'admin',
        delete: 'admin',
      } as const
      await world.store.protections.put(GATE_CONTEXT, rule, world.now)
      const { call, answer } = await holdBack(world, password, [`${old} ${next} refs/heads/main`])
      await make(world)
      call.end(pack)
      t.match(await answer, /ng refs\/heads\/main access has ended: refs\/heads\/main is protected/)
      t.equal(await main(), old)
      // How it ended is written once git has.
      await until(async () => (await world.store.audit.list({ action: 'git.pushed', limit: 1 })).length > 0)
      t.match(await world.store.audit.list({ action: 'git.pushed', limit: 1 }), [{ decision: 'cut' }])
    })
  }
}

// Attack: the token of a push is revoked after the check of its identity, just before its refs are decided.
t.test('a token that is revoked just before its push is decided', async (t) => {
  const { world, old, next, pack, password, main } = await populate(t)
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its receiver below
  const { expiryWarning } = Access.prototype
  t.intercept(Access.prototype, 'expiryWarning', {
    value: async function (this: Access, ...args: Parameters<Access['expiryWarning']>) {
      for (const { id } of await world.store.tokens.list({}))
        await world.store.tokens.revoke(GATE_CONTEXT, id, world.now)
      return await expiryWarning.apply(this, args)
    },
  })
  const headers = { Authorization: basic('alice', password), 'Content-Type': 'application/x-git-receive-pack-request' }
  const call = request(`${world.url}/team/app.git/git-receive-pack`, { method: 'POST', headers, agent: false })
  call.write(packet(`${old} ${next} refs/heads/main\0report-status side-band-64k`) + '0000')
  call.end(pack)
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response) text += String(chunk)
  t.match(text, /ng refs\/heads\/main token ".*" was revoked/)
  t.equal(await main(), old)
})

// Attack: the whole pack but its last byte is sent before the change, which is all that git waits for.
t.test('the last byte of a pack passes no earlier than it is decided again', async (t) => {
  const { world, old, next, pack, password, main } = await populate(t)
  const { call, answer } = await holdBack(world, password, [`${old} ${next} refs/heads/main`])
  call.write(pack.subarray(0, -1))
  await CHANGES['is protected']?.(world)
  // The request goes on after the pack, so that its end is never seen.
  call.write(pack.subarray(-1))
  call.write('more')
  t.match(await answer, /ng refs\/heads\/main access has ended/)
  t.equal(await main(), old)
  call.destroy()
})

t.test('a push that is held back for good ends by itself when its ref is protected', async (t) => {
  const { world, old, next, password } = await populate(t, undefined, 20)
  const { call, answer } = await holdBack(world, password, [`${old} ${next} refs/heads/main`])
  await CHANGES['is protected']?.(world)
  t.match(await answer, /ng refs\/heads\/main access has ended/)
  call.destroy()
})

// What does not concern the push must not end it.
t.test('a push goes on when something else changes', async (t) => {
  const { world, old, next, pack, password, main } = await populate(t)
  const { call, answer } = await holdBack(world, password, [`${old} ${next} refs/heads/main`])
  await world.store.protections.put(
    GATE_CONTEXT,
    { repositories: '**', refs: 'refs/heads/other', push: 'nobody', force: 'nobody', delete: 'nobody' },
    world.now,
  )
  call.end(pack)
  t.match(await answer, /ok refs\/heads\/main/)
  t.equal(await main(), next)
})
