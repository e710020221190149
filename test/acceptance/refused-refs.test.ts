// What refused refs are to people: with another client than git, with hooks, with 100 MB, and where everybody is refused.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import fs, { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/node'
import t from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from './programs.js'
import { ONLY, populate, ZERO } from './pushes.js'
import { largeCommit } from './transfers.js'

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(120_000)

    await t.test('isomorphic-git reads the reasons', async (t) => {
      const { world, folder, old, next, refs, secret } = await populate(t, kind)
      const push = (ref: string, remoteRef: string) =>
        git.push({
          fs,
          http,
          dir: folder,
          url: `${world.url}/team/app.git`,
          ref,
          remoteRef,
          onAuth: () => ({ username: 'alice', password: secret }),
        })
      await t.rejects(push('main', 'refs/heads/main'), {
        message: new RegExp(`refs/heads/main: ${ONLY.replace('*', '\\*')}`),
      })
      t.match(await push('main', 'refs/heads/agent/1'), { ok: true })
      t.equal(await refs(), `refs/heads/agent/1 ${next}\nrefs/heads/main ${old}`)
    })

    await t.test('the repository’s own hooks run, and see what is left of the push', async (t) => {
      const { world, disk, folder, next, secret } = await populate(t, kind)
      mkdirSync(join(disk, 'hooks'), { recursive: true })
      for (const name of ['pre-receive', 'update', 'post-receive']) {
        writeFileSync(join(disk, 'hooks', name), `#!/bin/sh\necho ${name} "$@" $(cat) >> seen\n`)
        chmodSync(join(disk, 'hooks', name), 0o755)
      }
      world.adopt(disk)
      await world.git.run(['push', world.remote('team/app', secret), 'main', 'main:agent/1'], {
        cwd: folder,
        status: 1,
      })
      t.equal(
        readFileSync(join(disk, 'seen'), 'utf8'),
        `pre-receive ${ZERO} ${next} refs/heads/agent/1\nupdate refs/heads/agent/1 ${ZERO} ${next}\npost-receive ${ZERO} ${next} refs/heads/agent/1\n`,
      )
    })

    await t.test('a push of 32 MiB learns the reason', async (t) => {
      const { world, refs, secret, old } = await populate(t, kind)
      const large = await largeCommit(world.git, 'large', 32)
      const { stderr } = await world.git.run(['push', world.remote('team/app', secret), 'main:big'], {
        cwd: large.folder,
        status: 1,
      })
      t.match(stderr, `remote: push refused: ${ONLY}`, 'at once')
      t.match(stderr, `! [remote rejected] main -> big (${ONLY})`, 'and in the end')
      t.equal(await refs(), `refs/heads/main ${old}`)
    })

    await t.test('protected refs hold for everybody, in either case', async (t) => {
      const { world, folder, refs, old, next } = await populate(t, kind)
      const level = { push: 'admin', force: 'nobody', delete: 'nobody' } as const
      await world.store.protections.put(
        GATE_CONTEXT,
        { repositories: 'team/*', refs: 'refs/heads/main', ...level },
        world.now,
      )
      await world.setPassword('alice', 'correct horse battery')
      const whole = await world.token('alice', 'write_repository')
      for (const password of [whole, 'correct horse battery']) {
        const said = await world.git.run(['push', world.remote('team/app', password), 'main', 'main:MAIN'], {
          cwd: folder,
          status: 1,
        })
        t.match(
          said.stderr,
          '! [remote rejected] main -> main (refs/heads/main is protected: only admins can push to it (rule 1))',
        )
        t.match(
          said.stderr,
          '! [remote rejected] main -> MAIN (refs/heads/main is protected: only admins can create it (rule 1))',
        )
      }
      t.equal(await refs(), `refs/heads/main ${old}`)
      await world.grant('alice', 'admin', 'team/app')
      await world.git.run(['push', world.remote('team/app', whole), 'main'], { cwd: folder })
      t.equal(await refs(), `refs/heads/main ${next}`)
      const forced = await world.git.run(['push', '--force', world.remote('team/app', whole), 'main~1:main'], {
        cwd: folder,
        status: 1,
      })
      t.match(forced.stderr, 'main~1 -> main (refs/heads/main is protected: nobody can force-push (rule 1))')
      const deleted = await world.git.run(['push', world.remote('team/app', whole), ':main'], {
        cwd: folder,
        status: 1,
      })
      t.match(deleted.stderr, 'main (refs/heads/main is protected: nobody can delete it (rule 1))')
    })

    await t.test('a repository outside a token’s limits answers as one that can not be seen', async (t) => {
      const { world } = await populate(t, kind)
      await world.seedRepository('team/other')
      const { secret } = await world.issue('alice', ['api'], { restrictions: parseRestrictions(['team/a*'], []) })
      const said = async (path: string, password: string) =>
        (await world.git.run(['ls-remote', world.remote(path, password)], { status: 128 })).stderr.replaceAll(path, 'X')
      const hidden = await said('hidden/app', secret.reveal())
      t.equal(await said('team/other', secret.reveal()), hidden)
      t.match(hidden, 'Your token is limited to certain repositories; another token may have access.')
      await world.git.run(['ls-remote', world.remote('team/app', secret.reveal())])
    })
  })
}
