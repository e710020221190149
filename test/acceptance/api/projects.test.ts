// Repositories as GitLab's projects, as far as clients ask for them: who sees which, and their protected branches.
import t from 'tap'
import type { Test } from 'tap'
import { createWorld } from '../world.js'
import { callsWith } from './calls.js'

async function populate(t: Test) {
  const world = await createWorld(t)
  for (const path of ['team/app', 'team/web', 'other/app']) await world.createRepository(path)
  await world.grant('alice', 'admin', 'team/app')
  await world.grant('alice', 'read', 'team/web')
  const calls = async (person: 'alice' | 'root' | 'mallory') => callsWith(world, await world.token(person, 'api'))
  return { world, alice: await calls('alice'), root: await calls('root'), mallory: await calls('mallory') }
}

t.test('everybody sees what their grants reach', async (t) => {
  const { world, alice, mallory } = await populate(t)
  const paths = async (query = '') =>
    ((await alice('GET', `/projects${query}`)).body as { path_with_namespace: string }[]).map(
      ({ path_with_namespace: path }) => path,
    )
  t.same(await paths(), ['team/app', 'team/web'])
  t.same(await paths('?search=WEB'), ['team/web'])
  t.same(await paths('?min_access_level=40'), ['team/app'])
  t.same(await paths('?per_page=1&page=2'), ['team/web'])
  t.same((await mallory('GET', '/projects')).body, [])
  const byPath = await alice('GET', '/projects/team%2Fapp')
  t.match(byPath, {
    status: 200,
    body: {
      id: Number,
      name: 'app',
      path_with_namespace: 'team/app',
      http_url_to_repo: `${world.url}/team/app.git`,
      permissions: { project_access: { access_level: 40 } },
    },
  })
  const { id } = byPath.body as { id: number }
  t.same((await alice('GET', `/projects/${id}`)).body, byPath.body, 'by its number')
  for (const where of ['/projects/other%2Fapp', '/projects/1', '/projects/..%2F..%2Fetc', `/projects/${id}.git`]) {
    const answer = await alice('GET', where)
    t.same([answer.status, answer.body], [404, { message: '404 Project Not Found' }])
  }
  t.equal((await mallory('GET', `/projects/${id}`)).status, 404)
})

t.test('branches are protected by the admins of a repository', async (t) => {
  const { world, alice, root, mallory } = await populate(t)
  const path = '/projects/team%2Fapp/protected_branches'
  const made = await alice('POST', path, { name: 'main' })
  const main = {
    name: 'main',
    push_access_levels: [{ access_level: 40, access_level_description: 'admin' }],
    allow_force_push: false,
  }
  t.match(made, { status: 201, body: main })
  t.equal((await root('POST', path, { name: 'x' })).status, 404, 'administrators see no more than they are granted')
  await world.grant('root', 'read', 'team/app')
  t.match(await root('POST', `${path}?name=release/*&push_access_level=0&allow_force_push=false`), {
    status: 201,
    body: { name: 'release/*', push_access_levels: [{ access_level: 0 }] },
  })
  t.match(await alice('GET', path), { status: 200, body: [main, { name: 'release/*' }] })
  t.match(await alice('POST', path, { name: 'x', push_access_level: 20 }), {
    status: 400,
    body: { error: 'push_access_level does not have a valid value' },
  })
  t.equal((await alice('POST', path, { name: '' })).status, 422)
  for (const [calls, where, status] of [
    [mallory, path, 404],
    [alice, '/projects/team%2Fweb/protected_branches', 403],
    [alice, '/projects/other%2Fapp/protected_branches', 404],
  ] as const) {
    t.equal((await calls('POST', where, { name: 'main' })).status, status)
    t.equal((await calls('DELETE', `${where}/main`)).status, status)
  }
  t.equal((await alice('DELETE', `${path}/release%2F*`)).status, 204)
  t.equal((await alice('DELETE', `${path}/nothing`)).status, 404)
  t.equal((await world.store.protections.list()).length, 1)
})
