// What the gate says to people in the middle of Git's own output.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { mintSecret } from '../../src/domain/tokens/token-secret.js'
import { DAY, utcDate } from '../../src/core/clock.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from './programs.js'
import { slowRelay } from './slow-relay.js'
import { largeCommit, quarantinesIn, processesIn } from './transfers.js'
import { within } from './until.js'
import { createWorld } from './world.js'

for (const kind of [embedded, nginx]) {
  t.test(`notices: ${kind.name}`, { skip: requireProgram(...kind.programs) }, async (t) => {
    const world = await createWorld(t, {}, kind)
    await world.grant('alice', 'write', 'team/**')
    await world.createRepository('team/app')
    const folder = await world.git.init('app')
    const soon = new Date(world.now.getTime() + 5 * DAY)
    const token = async (expiry: Date | 'never') =>
      (await world.issue('alice', ['write_repository'], { name: 'ci', expiry })).secret.reveal()
    const [dying, young] = [await token(soon), await token(new Date(world.now.getTime() + 60 * DAY))]
    const warning = `remote: Your token "ci" expires on ${utcDate(soon)}. Renew it at ${world.url}/-/user_settings/personal_access_tokens`
    let clones = 0
    const clone = async (secret: string, flags: string[], config: string[] = []) => {
      const name = `clone-${clones++}`
      const { stderr } = await world.git.run([...config, 'clone', ...flags, world.remote('team/app', secret), name])
      const cwd = join(world.git.home, name)
      t.equal((await world.git.run(['fsck', '--full', '--strict'], { cwd })).status, 0)
      return stderr
    }

    await t.test('a push says when its token ends', async (t) => {
      const push = async (secret: string, ...flags: string[]) => {
        await world.git.commit(folder, 'a.txt', String(Math.random()))
        const args = ['push', ...flags, world.remote('team/app', secret), 'main']
        return (await world.git.run(args, { cwd: folder })).stderr
      }
      t.match(await push(dying, '--progress'), warning)
      t.notMatch(await push(dying), /expires/, 'in silence where no terminal is, as git asks for')
      t.notMatch(await push(dying, '--quiet'), /expires/)
      t.notMatch(await push(young, '--progress'), /expires/)
    })

    await t.test('a fetch does, in each version of the protocol', async (t) => {
      for (const version of ['0', '1', '2']) {
        const config = ['-c', `protocol.version=${version}`]
        t.match(await clone(dying, ['--progress'], config), warning, version)
        t.match(await clone(dying, ['--progress', '--depth=1'], config), warning, `${version}, shallow`)
        t.notMatch(await clone(dying, [], config), /expires/)
        t.notMatch(await clone(young, ['--progress'], config), /expires/)
      }
      const known = join(world.git.home, 'clone-0')
      await world.git.commit(folder, 'b.txt', 'more')
      await world.git.run(['push', world.remote('team/app', young), 'main'], { cwd: folder })
      const fetched = await world.git.run(['fetch', '--progress', 'origin'], { cwd: known })
      t.match(fetched.stderr, warning, 'with haves')
    })
  })
}

t.test('a token that is over is told from a wrong one, to who holds it', async (t) => {
  const world = await createWorld(t)
  const expiry = new Date(world.now.getTime() + DAY)
  const { secret } = await world.issue('alice', ['read_repository'], { name: 'ci', expiry })
  const { token, secret: other } = await world.issue('alice', ['read_repository'], { name: 'old' })
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  world.advance(2 * DAY)
  const said = async (password: string) =>
    (await world.git.run(['ls-remote', world.remote('alice/app', password)], { status: 128 })).stderr
  t.match(await said(secret.reveal()), `remote: The token "ci" expired on ${utcDate(expiry)}.`)
  t.match(await said(other.reveal()), `remote: The token "old" was revoked on ${utcDate(token.createdAt)}.`)
  t.match(await said(secret.reveal().replace(/.{6}$/, '000000')), 'remote: The token is mistyped or incomplete')
  t.match(
    await said(mintSecret('ggpat-').reveal()),
    'remote: The password or token is wrong, or the account is blocked.',
  )
})

t.test('what is revoked says so before it ends', async (t) => {
  const world = await createWorld(t)
  const large = await largeCommit(world.git, 'large', 40)
  const whole = await world.token('alice', 'write_repository')
  await world.git.run(['push', '-q', world.remote('alice/app', whole), 'main'], { cwd: large.folder })
  const disk = world.onDisk('alice/app')
  let isRevoked = false
  const revokeSoon = async (id: number, begun: () => boolean) => {
    await within(5_000, begun)
    await world.store.tokens.revoke(GATE_CONTEXT, id, world.now)
    isRevoked = true
  }
  const relayTo = async (t: Test, slow: 'client' | 'server') => {
    isRevoked = false
    return new URL(await slowRelay(t, world.url, slow, () => isRevoked))
  }
  const begunRequests = () => world.log.split('\n').length

  await t.test('a clone', async (t) => {
    const { token, secret } = await world.issue('alice', ['read_repository'], { name: 'agent' })
    const url = await relayTo(t, 'server')
    const remote = `http://alice:${secret.reveal()}@${url.host}/alice/app.git`
    const before = begunRequests()
    const [clone] = await Promise.all([
      world.git.run(['clone', remote, 'cut'], { status: 128 }),
      // The challenge, the advertisement and the list of refs are answered. What runs is the pack: upload-pack and pack-objects.
      revokeSoon(token.id, () => begunRequests() >= before + 3 && processesIn(disk).length > 1),
    ])
    t.match(clone.stderr, 'remote: token "agent" was revoked')
  })

  await t.test('a push that is being sent', async (t) => {
    const { token, secret } = await world.issue('alice', ['write_repository'], { name: 'agent' })
    const url = await relayTo(t, 'client')
    const remote = `http://alice:${secret.reveal()}@${url.host}/alice/app.git`
    const more = await largeCommit(world.git, 'more', 30)
    const before = begunRequests()
    const [push] = await Promise.all([
      world.git.run(['push', remote, 'main:pushed'], { cwd: more.folder, status: 'any' }),
      revokeSoon(token.id, () => begunRequests() >= before + 2 && quarantinesIn(disk).length > 0),
    ])
    t.not(push.status, 0)
    t.match(push.stderr, 'remote: token "agent" was revoked')
    t.equal(await world.git.ask(['--git-dir', disk, 'for-each-ref', 'refs/heads/pushed']), '')
  })

  await t.test('a push whose hook is running', async (t) => {
    mkdirSync(join(disk, 'hooks'), { recursive: true })
    writeFileSync(join(disk, 'hooks', 'pre-receive'), '#!/bin/sh\ntouch started\nsleep 30\n')
    chmodSync(join(disk, 'hooks', 'pre-receive'), 0o755)
    const { token, secret } = await world.issue('alice', ['write_repository'], { name: 'agent' })
    const [push] = await Promise.all([
      world.git.run(['push', world.remote('alice/app', secret.reveal()), 'main:pushed'], {
        cwd: large.folder,
        status: 'any',
      }),
      revokeSoon(token.id, () => existsSync(join(disk, 'started'))),
    ])
    t.not(push.status, 0)
    t.match(push.stderr, 'remote: token "agent" was revoked')
    t.equal(await world.git.ask(['--git-dir', disk, 'for-each-ref', 'refs/heads/pushed']), '')
  })
})
