// Attacks on repositories that keep their refs in reftables, where refs and HEAD have no files to read: a ref that only looks
// like another moves a protected branch, or one outside a token's limits, and the first to push a branch chooses the default one.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { embedded } from '../backends/embedded.js'
import { REFTABLE_GIT, requireReftableGit } from '../acceptance/programs.js'
import { populate, ZERO } from '../acceptance/pushes.js'
import { createWorld } from '../acceptance/world.js'
import { initReftable, runGit } from '../git/embedded/bare-repository.js'
import { findGit } from '../../src/git/embedded/git-program.js'

const NOBODY = { push: 'nobody', force: 'nobody', delete: 'nobody' } as const
const skip = requireReftableGit()

/** A gate before `team/app`, which is empty, a clone with one commit, and tokens: `agent` may only push below `agent/`. */
async function createReftable(t: Test) {
  const world = await createWorld(t, REFTABLE_GIT === undefined ? {} : { git: REFTABLE_GIT })
  const git = await findGit(REFTABLE_GIT)
  const disk = world.onDisk('team/app')
  initReftable(git.path, disk)
  await world.grant('alice', 'write', 'team/**')
  const restrictions = parseRestrictions([], ['agent/*:create,update,force,delete'])
  const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
  const folder = await world.git.init('clone')
  const remote = world.remote('team/app', await world.token('alice', 'write_repository'))
  const agent = world.remote('team/app', secret.reveal())
  const push = (...args: string[]) => world.git.run(['push', ...args], { cwd: folder, status: 'any' })
  const ask = (...args: string[]) => runGit(git, '--git-dir', disk, ...args).trim()
  return { world, folder, remote, agent, push, ask }
}

for (const target of ['that is there', 'that is yet to come'] as const) {
  t.test(`a symbolic ref is what it stands for: a branch ${target}`, { skip }, async (t) => {
    const { world, folder, remote, agent, push, ask } = await createReftable(t)
    await push(remote, target === 'that is there' ? 'main' : 'main:other')
    const before = ask('for-each-ref')
    for (const name of ['refs/heads/agent/alias', 'refs/side/alias', 'refs/heads/alias'])
      ask('symbolic-ref', name, 'refs/heads/main')
    await world.git.commit(folder, 'next.txt', 'next\n')

    t.match(
      (await push('--force', agent, 'main:agent/alias')).stderr,
      /\(token "agent" can only push to refs\/heads\/agent/,
    )
    const many = Array.from({ length: 12 }, (_, index) => `main:refs/heads/agent/${index}`)
    const some = await push(agent, 'main:agent/alias', ...many)
    t.match(some.stderr, / \[remote rejected\] main -> agent\/alias \(token/)
    t.match(some.stderr, / \[new branch\] +main -> agent\/11/)
    await push(agent, '--delete', ...many.map((spec) => spec.slice('main:'.length)))

    await world.store.protections.put(
      GATE_CONTEXT,
      { repositories: 'team/*', refs: 'refs/heads/main', ...NOBODY },
      world.now,
    )
    for (const name of ['refs/heads/alias', 'refs/side/alias', 'refs/heads/main'])
      t.match((await push('--force', remote, `main:${name}`)).stderr, /is protected: nobody can/, name)
    t.match((await push(remote, ':refs/heads/alias')).stderr, /is protected: nobody can|does not exist/)
    t.equal(
      ask('for-each-ref', '--exclude=refs/side', '--exclude=refs/heads/alias', '--exclude=refs/heads/agent'),
      before,
    )
    t.equal((await push(remote, 'main:free')).status, 0)
  })
}

t.test('the default branch is chosen once, and not by a token for some branches', { skip }, async (t) => {
  const { world, remote, agent, push, ask } = await createReftable(t)
  await push(agent, 'main:agent/1')
  t.equal(ask('symbolic-ref', 'HEAD'), 'refs/heads/main')
  await push(remote, 'main:trunk')
  t.equal(ask('symbolic-ref', 'HEAD'), 'refs/heads/trunk')
  await push(remote, 'main:master', 'main:zebra', 'main')
  t.equal(ask('symbolic-ref', 'HEAD'), 'refs/heads/trunk')
  const clone = await world.git.clone(remote, 'fresh')
  t.equal(await world.git.ask(['symbolic-ref', 'HEAD'], { cwd: clone }), 'refs/heads/trunk')
})

t.test('what changes beside the gate shows in the next fetch', { skip }, async (t) => {
  const { world, folder, remote, push, ask } = await createReftable(t)
  await push(remote, 'main')
  const list = () => world.git.ask(['ls-remote', remote])
  t.match(await list(), /refs\/heads\/main$/)
  ask('update-ref', 'refs/heads/beside', 'refs/heads/main')
  t.match(await list(), /refs\/heads\/beside/)
  ask('symbolic-ref', 'HEAD', 'refs/heads/beside')
  ask('update-ref', '-d', 'refs/heads/main')
  t.notMatch(await list(), /refs\/heads\/main/)
  const next = await world.git.commit(folder, 'next.txt', 'next\n')
  await push(remote, 'main:beside')
  ask('pack-refs', '--all')
  const clone = await world.git.clone(remote, 'after')
  t.equal(await world.git.ask(['rev-parse', 'HEAD'], { cwd: clone }), next)
})

// Attack: git checks fast-forwards of branches alone, and by the name that is pushed.
t.test('a symbolic ref that is no branch does not force one that may only go forward', async (t) => {
  const { world, disk, folder, refs, old, next } = await populate(t, embedded)
  const level = { push: 'write', force: 'nobody', delete: 'nobody' } as const
  await world.store.protections.put(
    GATE_CONTEXT,
    { repositories: 'team/*', refs: 'refs/heads/main', ...level },
    world.now,
  )
  const remote = world.remote('team/app', await world.token('alice', 'write_repository'))
  const push = (...args: string[]) => world.git.run(['push', ...args], { cwd: folder, status: 'any' })
  await push(remote, 'main')
  t.match(await refs(), `refs/heads/main ${next}`)
  await world.git.run(['--git-dir', disk, 'symbolic-ref', 'refs/side/alias', 'refs/heads/main'])
  t.match((await push('--force', remote, `${old}:refs/side/alias`)).stderr, /is protected: nobody can/)
  t.match(await refs(), `refs/heads/main ${next}`)
})

// Attack: git also takes white space behind `ref:`, a symbolic link, and names that are not UTF-8.
t.test('a symbolic ref is one however it is written', async (t) => {
  const { world, disk, folder, post, refs, old, next, secret } = await populate(t, embedded)
  const remote = world.remote('team/app', secret)
  const push = (...args: string[]) => world.git.run(['push', ...args], { cwd: folder, status: 'any' })
  await push(remote, 'main:agent/first')
  const alias = join(disk, 'refs/heads/agent/alias')
  const ways: readonly (() => void)[] = [
    () => writeFileSync(alias, 'ref:\trefs/heads/main\n'),
    () => symlinkSync('refs/heads/main', alias),
  ]
  for (const way of ways) {
    way()
    t.match((await push(remote, 'main:agent/alias')).stderr, / \[remote rejected\] main -> agent\/alias \(token/)
    rmSync(alias)
  }
  const bytes = Buffer.from(`${disk}/refs/heads/agent/\xff`, 'latin1')
  writeFileSync(bytes, 'ref: refs/heads/main\n')
  t.match(
    (await post([`${ZERO} ${next} refs/heads/agent/\xff`], 'report-status')).body,
    /ng .*couldn't find out which ref/,
  )
  rmSync(bytes)
  t.match(await refs(), `refs/heads/main ${old}`)
})
