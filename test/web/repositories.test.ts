// The repositories that one may read: as the embedded server has them, or as they were granted.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { createWorld } from '../acceptance/world.js'
import { nodeGitServer } from '../backends/node-git-server.js'
import { FormClient } from '../pages/form-client.js'

const PASSWORD = 'correct horse battery'

/** The texts of the first column. */
const pathsIn = (body: string): string[] => [...body.matchAll(/<strong>([^<]+)<\/strong>\s*<\/td>/g)].map(([, p]) => p!)

t.test('one sees what one may read, and how to clone it', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  t.match((await alice.get('/')).body, new RegExp(`git push ${world.url}/alice/NAME\\.git HEAD:main`))
  await world.set('push_to_create', 'false')
  t.notMatch((await alice.get('/')).body, 'git push', 'not where a push makes none')

  for (const path of ['alice/own', 'team/app', 'team/docs', 'secret/plans', 'everyone/pub'])
    await world.createRepository(path)
  await world.grant('alice', 'write', 'team/app')
  await world.grant('@all', 'read', 'team/**')
  await world.grant('@anonymous', 'read', 'everyone/*')
  const { body } = await alice.get('/')
  t.strictSame(pathsIn(body), ['alice/own', 'everyone/pub', 'team/app', 'team/docs'])
  t.match(body, `git clone ${world.url}/team/app.git`)
  t.match(body, /clone, push, create.*clone<\/span>.*clone, push<\/span>.*clone<\/span>/s, 'with the role of each')
  t.notMatch(body, 'secret')
  t.equal((await alice.get('/-/repositories')).status, 200)

  t.strictSame(pathsIn((await alice.get('/?search=TEAM')).body), ['team/app', 'team/docs'])
  t.match((await alice.get('/?search=secret')).body, 'No matching')
  t.notMatch((await alice.get(`/?search=${encodeURIComponent('"><script>alert(1)</script>')}`)).body, '<script>alert')
  await world.store.grants.remove(GATE_CONTEXT, '@all', 'team/**')
  t.strictSame(pathsIn((await alice.get('/?search=team')).body), ['team/app'], 'a grant that is gone counts no more')
})

t.test(
  'the address of a clone, opened in a browser, says what it is for, and not whether there is such a repository',
  async (t) => {
    const world = await createWorld(t)
    await world.setPassword('alice', PASSWORD)
    await world.createRepository('secret/plans')
    const alice = new FormClient(world.url)
    await alice.signIn('alice', PASSWORD)
    for (const path of ['/secret/plans.git', '/secret/nothing.git', '/one.git']) {
      for (const who of [alice, new FormClient(world.url)]) {
        const { status, body } = await who.get(path)
        t.equal(status, 404)
        t.match(body, `git clone ${world.url}${path}<`)
      }
    }
    for (const path of ['/secret/plans', '/a/..git', '/.git', '/a//b.git', '/a.lock.git', '/%3Cb%3E.git'])
      t.notMatch((await alice.get(path)).body, 'git clone', path)
  },
)

t.test('a long list has pages', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  for (let number = 100; number < 152; number += 1) await world.createRepository(`alice/r${number}`)
  const first = await alice.get('/')
  t.equal(pathsIn(first.body).length, 50)
  t.match(first.body, '50 of 52')
  t.match(first.body, 'href="/?page=2"')
  const second = await alice.get('/?page=2')
  t.strictSame(pathsIn(second.body), ['alice/r150', 'alice/r151'])
  t.match(second.body, /href="\/" rel="prev"/)
  for (const page of ['0', '-1', 'x', '1e9', '9007199254740993'])
    t.equal((await alice.get(`/?page=${page}`)).status, 400)
})

t.test('before another server one sees the patterns that one was granted', async (t) => {
  const world = await createWorld(t, {}, nodeGitServer)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  t.match((await alice.get('/')).body, 'No access yet')
  await world.grant('@all', 'read', 'team/**')
  await world.grant('alice', 'write', 'team/**')
  await world.grant('mallory', 'write', 'theirs/*')
  const { body } = await alice.get('/')
  t.match(body, `git clone ${world.url}/team/NAME.git`)
  t.equal([...body.matchAll(/<code>team\/\*\*<\/code>/g)].length, 1, 'once, with the strongest role')
  t.match(body, 'clone, push')
  t.notMatch(body, 'theirs')
  t.match((await alice.get('/?search=nowhere')).body, 'No matching')
})
