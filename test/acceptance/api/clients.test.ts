// Clients that were written for GitLab, against a gate: @gitbeaker/rest and python-gitlab.
import { Gitlab } from '@gitbeaker/rest'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import { PYTHON, requirePythonModule } from '../programs.js'
import type { World } from '../world.js'
import { createWorld } from '../world.js'

const SCRIPT = join(import.meta.dirname, '..', '..', '..', '..', 'test', 'acceptance', 'api', 'python-gitlab.py')

async function populate(t: Test) {
  const world = await createWorld(t)
  await world.seedRepository('root/app')
  const { secret } = await world.issue('root', ['api', 'sudo'])
  return { world, secret: secret.reveal(), alice: await world.account('alice') }
}

const client = (world: World, token: string) => new Gitlab({ host: world.url, token })

/** Waits for a refusal. @returns its status and what GitLab's client takes for the reason */
async function refusal(call: Promise<unknown>): Promise<readonly [number, string]> {
  try {
    await call
  } catch (error) {
    const { description, response } = (error as Error).cause as { description: string; response: Response }
    return [response.status, description]
  }
  return [200, 'not refused']
}

t.test('@gitbeaker/rest: personal access tokens', async (t) => {
  const { world, secret, alice } = await populate(t)
  const root = client(world, secret)
  const expiresAt = utcDate(new Date(world.now.getTime() + 40 * DAY))
  const made = await root.PersonalAccessTokens.create(alice.id, 'ci', ['api', 'read_user'], { expiresAt })
  t.match(made, { name: 'ci', scopes: ['api', 'read_user'], user_id: alice.id, expires_at: expiresAt, active: true })
  const asAlice = client(world, made['token'])
  t.match(await asAlice.PersonalAccessTokens.show(), { id: made.id })
  t.match(await asAlice.PersonalAccessTokens.show({ tokenId: made.id }), { id: made.id, name: 'ci' })
  t.match(await asAlice.Users.showCurrentUser(), { username: 'alice' })
  t.match(await client(world, secret).Metadata.show(), { enterprise: false })

  for (let i = 0; i < 25; i++) await world.issue('alice', ['read_api'], { name: `bulk${i}` })
  t.equal((await asAlice.PersonalAccessTokens.all()).length, 26, 'every page')
  t.equal((await asAlice.PersonalAccessTokens.all({ pagination: 'keyset', perPage: 5 })).length, 26)
  t.equal((await asAlice.PersonalAccessTokens.all({ search: 'bulk2' })).length, 6)
  t.equal(
    (await root.PersonalAccessTokens.all({ userId: alice.id, state: 'active', perPage: 9, maxPages: 1 })).length,
    9,
  )
  const page = await asAlice.PersonalAccessTokens.all({ perPage: 10, page: 2, showExpanded: true })
  t.match(page.paginationInfo, { total: 26, totalPages: 3, current: 2, next: 3, previous: 1, perPage: 10 })

  const rotated = await asAlice.PersonalAccessTokens.rotate(made.id, { expiresAt })
  t.match(rotated, { name: 'ci', expires_at: expiresAt })
  const later = client(world, rotated['token'])
  const again = await later.PersonalAccessTokens.rotate('self')
  const last = client(world, again['token'])
  const [first] = await last.PersonalAccessTokens.all({ search: 'bulk' })
  await last.PersonalAccessTokens.remove({ tokenId: first!.id })
  t.match(await last.PersonalAccessTokens.show({ tokenId: first!.id }), { revoked: true, active: false })
  await last.PersonalAccessTokens.remove()
  t.same((await refusal(last.PersonalAccessTokens.show()))[0], 401)
})

t.test('@gitbeaker/rest: what is refused', async (t) => {
  const { world, secret, alice } = await populate(t)
  const root = client(world, secret)
  const asAlice = client(world, await world.token('alice', 'api'))
  const tokens = asAlice.PersonalAccessTokens
  t.same(await refusal(tokens.show({ tokenId: 999 })), [401, '401 Unauthorized'])
  t.same(await refusal(tokens.remove({ tokenId: 1 })), [400, '400 Bad request'])
  t.same(await refusal(tokens.create(alice.id, 'x', ['api'])), [403, '403 Forbidden'])
  t.same(await refusal(root.PersonalAccessTokens.create(999, 'x', ['api'])), [404, '404 User Not Found'])
  t.same(await refusal(root.PersonalAccessTokens.create(alice.id, 'x', ['all'])), [
    400,
    'scopes does not have a valid value',
  ])
  t.same(await refusal(client(world, 'nonsense').Users.showCurrentUser()), [401, '401 Unauthorized'])
})

t.test('@gitbeaker/rest: impersonation, sudo, accounts and settings', async (t) => {
  const { world, secret, alice } = await populate(t)
  const root = client(world, secret)
  const made = await root.UserImpersonationTokens.create(alice.id, 'support', ['api'])
  t.match(await client(world, made.token!).Users.showCurrentUser(), { username: 'alice' })
  t.match(await root.UserImpersonationTokens.show(alice.id, made.id), { name: 'support', impersonation: true })
  t.equal((await root.UserImpersonationTokens.all(alice.id, { state: 'active' })).length, 1)
  await root.UserImpersonationTokens.revoke(alice.id, made.id)
  t.equal((await root.UserImpersonationTokens.all(alice.id, { state: 'active' })).length, 0)

  t.match(await root.Users.showCurrentUser({ sudo: 'alice' }), { username: 'alice' })
  t.same(await root.PersonalAccessTokens.all({ sudo: alice.id }), [])
  t.same(await refusal(root.Users.showCurrentUser({ sudo: 'nobody' })), [
    404,
    "404 User with ID or username 'nobody' Not Found",
  ])
  t.match(await root.Users.show(alice.id), { username: 'alice' })
  t.match(await root.Users.all({ username: 'alice' }), [{ id: alice.id }])
  const carol = await root.Users.create({
    username: 'carol',
    name: 'Carol',
    email: 'c@example.com',
    skipConfirmation: true,
  })
  await root.Users.block(carol.id)
  t.match(await root.Users.show(carol.id), { state: 'blocked' })

  t.match(await root.ApplicationSettings.show(), {
    enforce_pat_expiration: true,
    personal_access_token_prefix: 'ggpat-',
  })
  const changed = await root.ApplicationSettings.edit({ personalAccessTokenPrefix: 'js-' })
  t.match(changed, { personal_access_token_prefix: 'js-' })
  t.match(await root.Projects.show('root/app'), { path_with_namespace: 'root/app' })
  t.match(await root.ProtectedBranches.create('root/app', 'main'), { name: 'main' })
  t.equal((await root.ProtectedBranches.all('root/app')).length, 1)
})

t.test('python-gitlab', { skip: requirePythonModule('gitlab') }, async (t) => {
  const { world, secret } = await populate(t)
  const env = { PATH: process.env['PATH'] ?? '', HOME: world.folder, GATE_URL: world.url, GATE_SECRET: secret }
  const { stdout } = await promisify(execFile)(PYTHON, ['-B', SCRIPT], { env })
  t.equal(stdout, 'done\n')
})
