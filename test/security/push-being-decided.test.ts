// Attack: deciding about a push takes seconds, because its token has many costly ref rules, or its refs must be looked up. Meanwhile a
// ref is protected. The check that follows each change found nothing to decide yet, and noted that the push was checked. The
// decisions that came after it were older than the change, and were never made again.
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { basic } from '../acceptance/http-client.js'
import { commitAhead } from '../acceptance/pushes.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { until } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'

const packet = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text

t.test('a ref that is protected while a push is being decided is not moved', async (t) => {
  const folder = temporaryFolder(t)
  const [git, held, begun] = ['git', 'held', 'begun'].map((name) => join(folder, name)) as [string, string, string]
  const hold = `touch ${begun}; while [ -e ${held} ]; do sleep 0.02; done`
  writeFileSync(git, `#!/bin/sh\ncase " $* " in *" symbolic-ref --quiet -- refs/"*) ${hold} ;; esac\nexec git "$@"\n`, {
    mode: 0o755,
  })
  const world = await createWorld(t, { git }, undefined, { intervals: { epochPollMs: 20 } })
  await world.grant('alice', 'write', 'team/**')
  await world.grant('mallory', 'write', 'team/**')
  const { disk, old, next, pack } = await commitAhead(world)
  const bare = ['-c', 'safe.directory=*', '--git-dir', disk]
  await world.git.run([...bare, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main'])
  const protect = (refs: string) =>
    world.store.protections.put(
      GATE_CONTEXT,
      { repositories: '**', refs, push: 'admin', force: 'nobody', delete: 'nobody' },
      world.now,
    )
  // So that there is something to decide.
  await protect('refs/heads/other')

  const push = async (name: 'alice' | 'mallory') => {
    const headers = {
      Authorization: basic(name, await world.token(name, 'write_repository')),
      'Content-Type': 'application/x-git-receive-pack-request',
    }
    const call = request(`${world.url}/team/app.git/git-receive-pack`, { method: 'POST', headers, agent: false })
    call.on('error', () => undefined)
    call.write(
      `${packet(`${old} ${next} refs/heads/main\0report-status`)}${packet(`${old} ${next} refs/heads/alias`)}0000`,
    )
    return call
  }
  writeFileSync(held, '')
  const call = await push('alice')
  await until(() => existsSync(begun))
  const cut = once(await push('mallory'), 'close')
  await protect('refs/heads/main')
  // Once the check has ended this one, it has looked at the other, too.
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  await cut
  rmSync(held)
  call.end(pack)
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  t.match(text, /ng refs\/heads\/main .*protected/)
  t.equal(await world.git.ask([...bare, 'rev-parse', 'refs/heads/main']), old)
})
