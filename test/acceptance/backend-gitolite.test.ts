import t from 'tap'
import { gitolite } from '../backends/gitolite.js'
import { conformance } from './conformance/conformance.js'
import { requireProgram } from './programs.js'
import { createWorld } from './world.js'

await conformance(t, gitolite)

t.test('gitolite’s own rules see the user’s name', { skip: requireProgram(...gitolite.programs) }, async (t) => {
  const world = await createWorld(t, {}, gitolite)
  await world.grant('@all', 'write', '**')
  await world.createRepository('team/ruled')
  const remote = async (person: 'alice' | 'mallory') =>
    world.remote('team/ruled', await world.token(person, 'write_repository'), person)
  const folder = await world.git.init('ruled')
  await world.git.run(['push', await remote('alice'), 'main'], { cwd: folder })
  t.match(await world.git.ask(['ls-remote', await remote('mallory')]), /refs\/heads\/main/, 'mallory may read')
  const refused = await world.git.run(['push', await remote('mallory'), 'main:evil'], { cwd: folder, status: 'any' })
  t.not(refused.status, 0)
  t.match(refused.stderr, /DENIED/, 'and is told by gitolite that she may not write')
})
