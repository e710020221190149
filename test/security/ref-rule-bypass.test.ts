// Ways round the rules about refs that were found, and true fast-forwards that were refused.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import fs from 'node:fs'
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/node'
import t from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from '../acceptance/programs.js'
import { populate } from '../acceptance/pushes.js'

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    // Attack: refs/replace/ID tells git that the forced commit has the old one for its parent.
    await t.test('a replacement does not make a forced update a fast-forward', async (t) => {
      const { world, folder, refs, old } = await populate(t, kind)
      const restrictions = parseRestrictions([], ['refs/*'])
      const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
      const remote = world.remote('team/app', secret.reveal())
      const run = (...args: string[]) => world.git.run(args, { cwd: folder, status: 'any' })
      await run('checkout', '-q', '--orphan', 'evil')
      await run('commit', '-q', '-m', 'evil')
      const evil = await world.git.ask(['rev-parse', 'evil'], { cwd: folder })
      const child = await world.git.ask(['commit-tree', 'evil^{tree}', '-p', old, '-m', 'x'], { cwd: folder })
      t.equal((await run('push', remote, `${child}:refs/replace/${evil}`)).status, 0)
      t.match(
        (await run('push', '--force', remote, 'evil:main')).stderr,
        /! \[remote rejected\] evil -> main \(token "agent" can create and update this ref, but not force-push/,
      )
      t.match(await refs(), `refs/heads/main ${old}`)
    })

    // Nuisance: git writes similar commits as differences to each other; the proof gave up there.
    await t.test('commits with trailers, and those of a bare clone with bitmaps, are fast-forwards', async (t) => {
      const { world, folder, refs } = await populate(t, kind)
      const restrictions = parseRestrictions([], ['main:update'])
      const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
      const remote = world.remote('team/app', secret.reveal())
      for (const count of [2, 5, 20]) {
        for (let i = 0; i < count; i++) {
          fs.writeFileSync(join(folder, 'a.txt'), `${count} ${i}\n`)
          await world.git.run(['add', '.'], { cwd: folder })
          const trailers = ['Signed-off-by', 'Reviewed-by', 'Co-Authored-By'].map(
            (name) => `${name}: Somebody Whoever <somebody@example.com>`,
          )
          await world.git.run(
            ['commit', '-q', '-m', `Change number ${i}\n\nSome more about it.\n\n${trailers.join('\n')}`],
            { cwd: folder },
          )
        }
        await world.git.run(['push', remote, 'main'], { cwd: folder })
        t.match(
          await refs(),
          `refs/heads/main ${await world.git.ask(['rev-parse', 'main'], { cwd: folder })}`,
          `${count} commits`,
        )
      }
      const bare = await world.git.clone(folder, 'bare', '--bare')
      execFileSync('git', ['repack', '-adbq'], { cwd: bare })
      for (let i = 0; i < 3; i++) await world.git.commit(folder, 'b.txt', String(i))
      await world.git.run(['fetch', '-q', folder, 'main:main'], { cwd: bare })
      await world.git.run(['push', remote, 'main'], { cwd: bare })
    })

    // Nuisance: other clients write a commit, its tree and its blobs, and then the next commit.
    await t.test('two commits of isomorphic-git are a fast-forward', async (t) => {
      const { world, folder } = await populate(t, kind)
      const restrictions = parseRestrictions([], ['main:update'])
      const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
      await world.git.commit(folder, 'more.txt', 'more')
      const pushed = await git.push({
        fs,
        http,
        dir: folder,
        url: `${world.url}/team/app.git`,
        ref: 'main',
        remoteRef: 'refs/heads/main',
        onAuth: () => ({ username: 'alice', password: secret.reveal() }),
      })
      t.match(pushed, { ok: true })
    })
  })
}

// Attack: what is done to a symbolic ref is done to the ref that it names.
t.test('a symbolic ref is what it stands for', async (t) => {
  const { world, disk, folder, refs, old, secret } = await populate(t, embedded)
  const run = (...args: string[]) => world.git.run(args, { cwd: folder, status: 'any' })
  for (const name of ['refs/heads/agent/alias', 'refs/side/alias'])
    await world.git.run(['--git-dir', disk, 'symbolic-ref', name, 'refs/heads/main'])
  const pushed = await run('push', world.remote('team/app', secret), 'main:agent/alias')
  t.match(
    pushed.stderr,
    /! \[remote rejected\] main -> agent\/alias \(token "agent" can only push to refs\/heads\/agent\/\*\)/,
  )
  const level = { push: 'nobody', force: 'nobody', delete: 'nobody' } as const
  await world.store.protections.put(
    GATE_CONTEXT,
    { repositories: 'team/*', refs: 'refs/heads/main', ...level },
    world.now,
  )
  const whole = world.remote('team/app', await world.token('alice', 'write_repository'))
  t.match((await run('push', '--force', whole, 'main:refs/side/alias')).stderr, /is protected: nobody can/)
  t.match((await run('push', whole, ':refs/side/alias')).stderr, /is protected: nobody can delete it/)
  t.match(await refs(), `refs/heads/main ${old}`)
})

t.test('a token for some branches does not choose the default branch', async (t) => {
  const { world, folder, secret } = await populate(t, embedded)
  const disk = await world.createRepository('team/empty')
  await world.git.run(['push', world.remote('team/empty', secret), 'main:agent/1'], { cwd: folder })
  t.equal(await world.git.ask(['--git-dir', disk, 'symbolic-ref', 'HEAD']), 'refs/heads/main')
})
