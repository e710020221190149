import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { temporaryFolder } from '../../acceptance/temporary-folder.js'
import { createWorld } from '../../acceptance/world.js'
import { gitHttpBackend } from './git-http-backend.js'
import { httpUpstream } from './stand-in.js'

// What an upstream says reaches the user, and repositories are found by every name that they have there.

const PULL = '/team/app.git/info/refs?service=git-upload-pack'
const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' }

/** A gate before a server that answers all requests alike. */
async function createAnswering(t: Test, answer: (response: ServerResponse) => void) {
  const seen: string[] = []
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume()
    seen.push(`${request.method} ${request.url}`)
    answer(response)
  })
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'write', 'team/**')
  return { world, seen, password: await world.token('alice', 'write_repository') }
}

t.test('a refusal reaches the user, with its status and its plain text', async (t) => {
  const maintenance = 'locked for maintenance until noon\n\x1b[31mred\x1b[0m\n'
  const answers: [number, Record<string, string>, string, RegExp][] = [
    [503, { ...TEXT, 'Retry-After': '120' }, maintenance, /refused this request:\nlocked for maintenance until noon\n/],
    [403, TEXT, 'no access for alice', /refused this request:\nno access for alice$/],
    [500, { 'Content-Type': 'text/html' }, '<b>stack trace</b>', /refused this request with status 500\.$/],
    [423, { ...TEXT, 'Content-Encoding': 'gzip' }, 'no gzip', /refused this request with status 423\.$/],
    [413, TEXT, 'x'.repeat(1_000_000), /^.{40,80}:\nx{2048}$/],
    [429, TEXT, '', /with status 429\.$/],
  ]
  for (const [status, headers, text, said] of answers) {
    const { world, password } = await createAnswering(t, (response) => response.writeHead(status, headers).end(text))
    const answer = await world.http(PULL, { password })
    t.equal(answer.status, status)
    t.match(answer.body, said)
    t.equal(answer.headers['retry-after'], headers['Retry-After'])
    t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
    t.notMatch(answer.body, /\x1b/)
    t.match(world.log, `the upstream responded with status ${status}`)
  }
  const { world, password } = await createAnswering(t, (response) => response.writeHead(503, TEXT).end(maintenance))
  const { stderr } = await world.git.run(['ls-remote', world.remote('team/app', password)], { status: 128 })
  t.match(stderr, /remote: locked for maintenance until noon/)
})

t.test('a refusal whose text never ends is told without it', async (t) => {
  const { world, password } = await createAnswering(t, (response) => response.writeHead(403, TEXT).write('a'))
  t.match(await world.http(PULL, { password }), { status: 403, body: /with status 403\.$/ })
})

t.test('a redirect is not followed; its target is named', async (t) => {
  const Location = 'https://user:secret@other.example/team/new.git/info/refs?service=git-upload-pack'
  const { world, seen, password } = await createAnswering(t, (response) => response.writeHead(301, { Location }).end())
  const answer = await world.http(PULL, { password })
  t.equal(answer.status, 502)
  t.equal(answer.headers['location'], undefined)
  t.match(answer.body, /is now at https:\/\/other\.example\/team\/new\.git\n/)
  t.notMatch(answer.body + world.log, /secret/)
  t.equal(seen.length, 1)
})

t.test('a repository is missing if one of its names is, and the other leads to a page', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url?.includes('.git/') === true) response.writeHead(404).end()
    else response.writeHead(302, { Location: '/login' }).end()
  })
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'write', 'team/**')
  t.equal((await world.http(PULL, { password: await world.token('alice', 'api') })).status, 404)
})

/** A gate before Git's own server. */
async function createServed(t: Test) {
  const root = temporaryFolder(t)
  const create = (folder: string, ...flags: string[]): string => {
    mkdirSync(dirname(join(root, folder)), { recursive: true })
    execFileSync('git', ['init', '-q', '-b', 'main', ...flags, join(root, folder)])
    execFileSync('git', ['-C', join(root, folder), 'config', 'http.receivepack', 'true'])
    return join(root, folder)
  }
  const { upstream, seen } = await gitHttpBackend(t, root)
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'write', 'team/**')
  return { world, create, seen, password: await world.token('alice', 'write_repository') }
}

t.test('folders without .git, and checked-out ones, are served; .git wins', async (t) => {
  const { world, create, seen, password } = await createServed(t)
  create('team/bare', '--bare')
  const checkout = create('team/checkout')
  execFileSync('git', ['-C', checkout, 'config', 'receive.denyCurrentBranch', 'ignore'])
  create('team/both', '--bare')
  create('team/both.git', '--bare')
  const work = await world.git.init('work')
  for (const name of ['bare', 'checkout', 'both']) {
    for (const url of [world.remote(`team/${name}`, password), world.remote(`team/${name}`, password).slice(0, -4)]) {
      await world.git.run(['push', '-q', url, 'HEAD:main'], { cwd: work })
      t.match(await world.git.ask(['ls-remote', url]), /refs\/heads\/main/)
    }
  }
  t.ok(seen.some((line) => line.startsWith('POST /team/both.git/')))
  t.notOk(seen.some((line) => line.includes('/team/both/')))
  const misses = seen.filter((line) => line.includes('/team/bare.git/'))
  t.equal(misses.length, 1, 'which name exists is asked once a minute')
  t.match(await world.http('/team/none/info/refs?service=git-upload-pack', { password }), {
    status: 404,
    body: /has neither team\/none\.git nor team\/none\./,
  })
})

t.test('a push or fetch whose advertisement another process answered finds the folder, too', async (t) => {
  const { world, create, password } = await createServed(t)
  create('team/bare', '--bare')
  const headers = { 'Content-Type': 'application/x-git-upload-pack-request', 'Git-Protocol': 'version=2' }
  const answer = await world.http('/team/bare.git/git-upload-pack', {
    method: 'POST',
    password,
    headers,
    body: '0014command=ls-refs\n0000',
  })
  t.strictSame([answer.status, answer.body], [200, '0000'])
})

t.test('names with blanks, other letters, + and ~ work, with real clients', async (t) => {
  const { world, create, password } = await createServed(t)
  await world.grant('alice', 'write', 'tëam/**')
  const work = await world.git.init('work')
  for (const name of ['team/my app', 'tëam/größe', 'team/c++', 'team/~x']) {
    create(`${name}.git`, '--bare')
    const url = world
      .remote('team/app', password)
      .replace('team/app', name.split('/').map(encodeURIComponent).join('/'))
    await world.git.run(['push', '-q', url, 'HEAD:main'], { cwd: work })
    t.match(await world.git.ask(['ls-remote', url]), /refs\/heads\/main/, name)
    t.match(await world.git.ask(['ls-remote', world.remote(name, password)]), /refs\/heads\/main/, `${name}, as typed`)
  }
})
