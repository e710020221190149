import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { existsSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { httpText } from '../recordings/http-text.js'
import { compareRecording } from '../recordings/recording.js'
import type { HttpAnswer, HttpOptions } from './http-client.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

// GitLab's decision table for Git over HTTP, row by row, on a real socket (gitlab-behaviour 1.7). Rows that need what
// gitgate does not have (roles of guests, password expiry, wikis, CI jobs …) are not here.

const M401 = 'HTTP Basic: Access denied\n'
const T401 = `${M401}You must use a personal access token with 'read_repository' or 'write_repository' scope for Git over HTTP.\nYou can generate one at `
const NOT_FOUND = "The project you were looking for could not be found or you don't have permission to view it."
const NO_DOWNLOAD = 'You are not allowed to download code.'
const NO_UPLOAD = 'You are not allowed to upload code.'
const NO_PUSH = 'You are not allowed to push code to this project.'
const PASSWORD = 'correct horse battery'

type Action = 'pull' | 'push'
type Credentials = Pick<HttpOptions, 'user' | 'password' | 'headers'>
type Expected = { status: number; body?: string; challenge?: boolean }

/** The titles of the rows, each request, and its response. */
const recording: string[] = []

/** Both requests of a pull or a push must be answered alike. */
async function expectAnswer(
  t: Test,
  world: World,
  action: Action,
  path: string,
  credentials: Credentials,
  expected: Expected,
) {
  const service = action === 'pull' ? 'git-upload-pack' : 'git-receive-pack'
  const title = `# ${t.parent?.name ?? ''}: ${t.name}\n`
  if (!recording.includes(title)) recording.push(title)
  const ask = async (target: string, options: HttpOptions): Promise<HttpAnswer> => {
    const answer = await world.http(target, options)
    recording.push(httpText(target, options, answer))
    return answer
  }
  const advertisement = await ask(`/${path}.git/info/refs?service=${service}`, credentials)
  const exchange = await ask(`/${path}.git/${service}`, {
    ...credentials,
    method: 'POST',
    body: '0000',
    headers: { ...credentials.headers, 'Content-Type': `application/x-${service}-request` },
  })
  const answers: [string, HttpAnswer][] = [
    ['advertisement', advertisement],
    ['result', exchange],
  ]
  for (const [kind, answer] of answers) {
    t.equal(answer.status, expected.status, `${action} ${path} ${kind}`)
    if (expected.status === 200) {
      t.equal(answer.headers['content-type'], `application/x-${service}-${kind}`)
      t.equal(answer.headers['cache-control'], 'no-cache')
      t.equal(answer.headers['www-authenticate'], undefined)
    } else {
      t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      t.equal(
        answer.headers['www-authenticate'],
        expected.challenge === true ? 'Basic realm="GitGate", charset="UTF-8"' : undefined,
      )
      t.ok(answer.body.startsWith(expected.body ?? ''), `${kind} says ${JSON.stringify(answer.body)}`)
    }
  }
}

const challenged: Expected = { status: 401, body: M401, challenge: true }

async function populate(t: Test): Promise<World> {
  const world = await createWorld(t)
  await world.seedRepository('public/site')
  await world.seedRepository('team/app')
  await world.grant('@anonymous', 'read', 'public/**')
  await world.grant('alice', 'write', 'team/**')
  await world.setPassword('alice', PASSWORD)
  return world
}

t.test('anonymous requests', async (t) => {
  const world = await populate(t)
  await t.test('rows 1–5, 49', async (t) => {
    await expectAnswer(t, world, 'pull', 'public/site', {}, { status: 200 })
    await expectAnswer(t, world, 'push', 'public/site', {}, challenged)
    await expectAnswer(t, world, 'pull', 'team/app', {}, challenged)
    await expectAnswer(t, world, 'pull', 'public/missing', {}, challenged)
    await expectAnswer(t, world, 'push', 'team/missing', {}, challenged)
  })
  await t.test('rows 38, 39: a token in another header counts like the password (GitLab ignores it)', async (t) => {
    const token = await world.token('alice', 'api')
    for (const headers of [{ Authorization: `Bearer ${token}` }, { 'PRIVATE-TOKEN': token }] as Record<
      string,
      string
    >[]) {
      await expectAnswer(t, world, 'pull', 'team/app', { headers }, { status: 200 })
      await expectAnswer(t, world, 'pull', 'public/site', { headers }, { status: 200 })
    }
  })
})

t.test('passwords', async (t) => {
  const world = await populate(t)
  const alice = { user: 'alice', password: PASSWORD }
  await t.test('rows 6–8: wrong ones never fall back to anonymous reading', async (t) => {
    for (const action of ['pull', 'push'] as const) {
      await expectAnswer(t, world, action, 'team/app', { user: 'alice', password: '' }, challenged)
      await expectAnswer(t, world, action, 'team/app', { user: 'alice', password: 'wrong' }, challenged)
      await expectAnswer(t, world, action, 'public/site', { user: 'alice', password: 'wrong' }, challenged)
      await expectAnswer(t, world, action, 'public/site', { user: 'nobody', password: PASSWORD }, challenged)
    }
  })
  await t.test('rows 9, 10', async (t) => {
    await expectAnswer(t, world, 'pull', 'team/app', alice, { status: 200 })
    await expectAnswer(t, world, 'push', 'team/app', alice, { status: 200 })
    await expectAnswer(t, world, 'pull', 'team/app', { user: 'alice@example.com', password: PASSWORD }, { status: 200 })
  })
  await t.test('row 13: two-factor required but not set up', async (t) => {
    await world.set('require_two_factor_authentication', 'true')
    await expectAnswer(t, world, 'pull', 'team/app', alice, { status: 401, body: T401, challenge: true })
    await world.set('require_two_factor_authentication', 'false')
    await expectAnswer(t, world, 'pull', 'team/app', alice, { status: 200 })
  })
  await t.test('row 14: passwords switched off for Git', async (t) => {
    await world.set('password_authentication_enabled_for_git', 'false')
    await expectAnswer(t, world, 'pull', 'team/app', alice, { status: 401, body: T401, challenge: true })
    await expectAnswer(
      t,
      world,
      'push',
      'team/app',
      { user: 'alice', password: 'any' },
      { status: 401, body: T401, challenge: true },
    )
    await world.set('password_authentication_enabled_for_git', 'true')
  })
  await t.test('row 28: a blocked account', async (t) => {
    const { id } = await world.account('alice')
    await world.store.accounts.setState(GATE_CONTEXT, id, 'blocked')
    await expectAnswer(t, world, 'push', 'team/app', alice, challenged)
    await expectAnswer(t, world, 'pull', 'team/missing', alice, challenged)
    await world.store.accounts.setState(GATE_CONTEXT, id, 'active')
    await expectAnswer(t, world, 'push', 'team/app', alice, { status: 200 })
  })
})

t.test('scopes', async (t) => {
  const world = await populate(t)
  await t.test('rows 15–22: what each scope lets through', async (t) => {
    const table = [
      ['api', 200, 200],
      ['read_repository', 200, 403],
      ['write_repository', 200, 200],
      ['read_api', 200, 403],
    ] as const
    for (const [scope, pull, push] of table) {
      const token = { user: 'alice', password: await world.token('alice', scope) }
      await expectAnswer(t, world, 'pull', 'team/app', token, { status: pull })
      await expectAnswer(t, world, 'push', 'team/app', token, { status: push, body: NO_UPLOAD })
    }
  })
  await t.test('rows 23, 24: refused before the repository is looked at, and on public ones, too', async (t) => {
    for (const scope of ['read_user', 'read_registry', 'write_registry'] as const) {
      const token = { user: 'alice', password: await world.token('alice', scope) }
      for (const path of ['team/app', 'public/site', 'team/missing']) {
        await expectAnswer(t, world, 'pull', path, token, { status: 403, body: NO_DOWNLOAD })
        await expectAnswer(t, world, 'push', path, token, { status: 403, body: NO_UPLOAD })
      }
    }
    const sudo = { user: 'root', password: await world.token('root', 'sudo') }
    await expectAnswer(t, world, 'pull', 'public/site', sudo, { status: 403, body: NO_DOWNLOAD })
  })
  await t.test('scopes add up', async (t) => {
    const token = { user: 'alice', password: await world.token('alice', 'read_user', 'write_repository') }
    await expectAnswer(t, world, 'push', 'team/app', token, { status: 200 })
  })
})

t.test('what a repository is to an account', async (t) => {
  const world = await populate(t)
  await world.grant('root', 'read', 'team/**')
  const mallory = { user: 'mallory', password: await world.token('mallory', 'api') }
  const root = { user: 'root', password: await world.token('root', 'write_repository') }
  const alice = { user: 'alice', password: await world.token('alice', 'write_repository') }
  await t.test('rows 40–42, 45: invisible and missing look alike', async (t) => {
    for (const path of ['team/app', 'team/missing', 'nowhere/missing']) {
      await expectAnswer(t, world, 'pull', path, mallory, { status: 404, body: NOT_FOUND })
      await expectAnswer(t, world, 'push', path, mallory, { status: 404, body: NOT_FOUND })
    }
    await expectAnswer(t, world, 'pull', 'team/missing', alice, { status: 404, body: NOT_FOUND })
    await expectAnswer(t, world, 'pull', 'alice/missing', alice, { status: 404, body: NOT_FOUND })
  })
  await t.test('rows 46, 47: who may read but not push is told so', async (t) => {
    await expectAnswer(t, world, 'push', 'public/site', mallory, { status: 403, body: NO_PUSH })
    await expectAnswer(t, world, 'push', 'team/app', root, { status: 403, body: NO_PUSH })
    await expectAnswer(t, world, 'pull', 'team/app', root, { status: 200 })
  })
  await t.test('row 50: an empty repository is served', async (t) => {
    await world.createRepository('team/empty')
    await expectAnswer(t, world, 'pull', 'team/empty', alice, { status: 200 })
  })
  await t.test('row 43: a push to a path that one administers creates it, if push_to_create', async (t) => {
    const { git } = world
    const folder = await git.init('fresh')
    const remote = world.remote('alice/deep/fresh', alice.password)
    await expectAnswer(t, world, 'push', 'alice/deep/fresh', alice, { status: 200 })
    t.notOk(existsSync(world.onDisk('alice/deep/fresh')), 'neither the advertisement nor the probe has made it')
    await git.run(['push', remote, 'main'], { cwd: folder })
    t.equal(
      (await git.ask(['ls-remote', remote, 'HEAD'])).slice(0, 40),
      await git.ask(['rev-parse', 'main'], { cwd: folder }),
    )

    await world.set('push_to_create', 'false')
    await expectAnswer(t, world, 'push', 'alice/another', alice, { status: 404, body: NOT_FOUND })
    await world.set('push_to_create', 'true')
    await expectAnswer(t, world, 'push', 'team/another', alice, { status: 404, body: NOT_FOUND })
  })
  await t.test('row 44: names that can not be created', async (t) => {
    await world.grant('alice', 'admin', '**')
    for (const path of ['api/thing', 'Users/thing', 'team/app/inside', 'team']) {
      await expectAnswer(t, world, 'push', path, alice, { status: 422, body: 'Could not create project: ' })
    }
  })
})

t.test('each request is answered as recorded', async (t) =>
  compareRecording(t, 'decision-table.txt', recording.join('\n')),
)
