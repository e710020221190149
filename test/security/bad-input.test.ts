import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { basic, http, raw } from '../acceptance/http-client.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'

// Each gets a clear answer, and the gate goes on serving.

const PULL = '/team/app.git/info/refs?service=git-upload-pack'
const UPLOAD = { 'Content-Type': 'application/x-git-upload-pack-request' }
const RECEIVE = { 'Content-Type': 'application/x-git-receive-pack-request' }

async function populate(t: Test): Promise<{ world: World; password: string }> {
  const world = await createWorld(t)
  await world.seedRepository('team/app')
  await world.grant('alice', 'admin', '**')
  return { world, password: await world.token('alice', 'api') }
}

t.test('Authorization headers', async (t) => {
  const { world, password } = await populate(t)
  const ask = async (Authorization: string) => http(world.url, PULL, { headers: { Authorization } })
  const malformed = [
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic YQ',
    `Basic ${Buffer.from('a\0:b').toString('base64')}`,
    `Basic ${Buffer.from('a:b\nc').toString('base64')}`,
    `Basic ${'A'.repeat(20_000)}`,
  ]
  for (const header of malformed) {
    const answer = await ask(header)
    t.equal(answer.status, 401, header.slice(0, 40))
    t.match(answer.body, /is malformed/)
    t.equal(answer.headers['www-authenticate'], 'Basic realm="GitGate", charset="UTF-8"')
  }
  t.equal((await ask(basic('x', 'y'.repeat(5_000)))).status, 401)
  for (const spelling of ['basic', 'BASIC', 'Basic  ']) {
    t.equal((await ask(basic('alice', password).replace('Basic', spelling))).status, 200, spelling)
  }
  t.equal((await ask(basic('alice', password).replace(/=+$/, ''))).status, 200, 'without padding')
})

t.test('headers of 100 KB, and requests that are no HTTP', async (t) => {
  const { world } = await populate(t)
  t.match(
    await raw(world.url, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 .*\r\n\r\nThe headers of a request hold \d+ bytes at most\.$/s,
  )
  for (const bytes of [
    '\0\0\0\0\r\n\r\n',
    'GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  ]) {
    t.match(
      await raw(world.url, bytes),
      /^HTTP\/1\.1 400 .*not a well-formed HTTP request\.$/s,
      JSON.stringify(bytes.slice(0, 30)),
    )
  }
  t.match(await raw(world.url, 'CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 405 /)
  t.match(await raw(world.url, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
})

t.test('paths', async (t) => {
  const { world, password } = await populate(t)
  const service = 'info/refs?service=git-upload-pack'
  const refused = [
    `/team%2Fapp.git/${service}`,
    `/team/../team/app.git/${service}`,
    `/team/./app.git/${service}`,
    `/team/%2e%2e/app.git/${service}`,
    `/team\\app.git/${service}`,
    `/team/app%00.git/${service}`,
    `/team/.git/${service}`,
    `/.git/${service}`,
    `/--upload-pack=touch/x.git/${service}`,
    `/team/-x.git/${service}`,
    `/team/.hidden.git/${service}`,
    `/team/app.lock.git/${service}`,
    `/${'a'.repeat(252)}.git/${service}`,
    `/${'a/'.repeat(600)}x.git/${service}`,
    `/team/é.git/${service}`,
    `/team/a b.git/${service}`.replace(' ', '%20'),
  ]
  for (const path of refused) {
    const { status } = await http(world.url, encodeURI(path).replaceAll('%25', '%').replace('%5C', '\\'), { password })
    t.ok(status === 400 || status === 404, `${path.slice(0, 60)} is ${status}`)
  }
  for (const query of [
    'service=git-upload-pack&service=git-upload-pack',
    'service=git-upload-pack&service=git-receive-pack',
  ]) {
    t.equal((await http(world.url, `/team/app.git/info/refs?${query}`, { password })).status, 400, query)
  }
  const post = await http(world.url, '/team/app.git/git-upload-pack?service=git-receive-pack', {
    method: 'POST',
    password,
    body: '0000',
    headers: UPLOAD,
  })
  t.equal(post.headers['content-type'], 'application/x-git-upload-pack-result', 'the query of an exchange is ignored')
  t.equal((await http(world.url, `http://elsewhere.example${PULL}`, { password })).status, 200, 'absolute form')
  t.equal((await http(world.url, `ftp://elsewhere.example${PULL}`, { password })).status, 400)
})

t.test('symbolic links lead nowhere', async (t) => {
  const { world, password } = await populate(t)
  const outside = join(world.folder, 'outside')
  mkdirSync(outside)
  renameSync(await world.seedRepository('team/secret'), join(outside, 'secret.git'))
  symlinkSync(join(outside, 'secret.git'), world.onDisk('team/linked'))
  symlinkSync(outside, join(world.onDisk('team/app'), '..', '..', 'linked-group'))
  for (const path of ['team/linked', 'linked-group/secret']) {
    t.equal((await world.http(`/${path}.git/info/refs?service=git-upload-pack`, { password })).status, 404, path)
    t.equal((await world.http(`/${path}.git/info/refs?service=git-receive-pack`, { password })).status, 422, path)
  }
})

t.test('bodies that do not follow the protocol', async (t) => {
  const { world, password } = await populate(t)
  const send = async (service: string, body: Buffer | string, headers: Record<string, string>) =>
    (await world.http(`/team/app.git/${service}`, { method: 'POST', password, body, headers })).status
  const bodies = [
    'hello',
    'zzzz',
    '00',
    '0003',
    'PACK',
    '{"a":1}',
    '0fff too short',
    `0006ab${'x'.repeat(70_000)}`,
    '001fwant 0000000000000000000000000000000000000000',
  ]
  for (const body of bodies) {
    for (const [service, headers] of [
      ['git-upload-pack', UPLOAD],
      ['git-receive-pack', RECEIVE],
    ] as const) {
      const status = await send(service, body, headers)
      t.ok([200, 400].includes(status), `${service} ${body.slice(0, 20)} is ${status}`)
    }
  }
  t.equal(await send('git-upload-pack', 'hello', UPLOAD), 400)
  const compressed = { ...UPLOAD, 'Content-Encoding': 'gzip' }
  t.equal(await send('git-upload-pack', gzipSync('0000'), compressed), 200)
  t.equal(await send('git-upload-pack', 'not gzip', compressed), 400)
  t.equal(await send('git-upload-pack', gzipSync('0032want').subarray(0, 15), compressed), 400, 'cut gzip')
  t.equal(await send('git-receive-pack', '', RECEIVE), 200, 'no commands')
  t.equal((await world.http(PULL, { password })).status, 200, 'and it still serves')
})

t.test('any bytes as a body, and any path, get an answer below 500', async (t) => {
  const { world, password } = await populate(t)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), fc.boolean(), async (bytes, isPush) => {
      const service = isPush ? 'git-receive-pack' : 'git-upload-pack'
      const headers = { 'Content-Type': `application/x-${service}-request` }
      const answer = await world.http(`/team/app.git/${service}`, {
        method: 'POST',
        password,
        body: Buffer.from(bytes),
        headers,
      })
      return answer.status < 500
    }),
    { numRuns: 40 },
  )
  const part = fc.constantFrom(
    'team',
    'app.git',
    '..',
    '.',
    '',
    '%2e',
    'info',
    'refs',
    'info/refs',
    'git-upload-pack',
    '.git',
    'x.git',
    '-f',
    '\\',
    '?service=git-upload-pack',
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
      return (await world.http(`/${parts.join('/')}`, { password })).status < 500
    }),
    { numRuns: 200 },
  )
})

t.test('a client that leaves in mid-request harms nobody', async (t) => {
  const { world, password } = await populate(t)
  const head = `POST /team/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('a', password)}\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000\r\n\r\n`
  const { connect } = await import('node:net')
  for (const bytes of [head, `${head}00`, `${head}0032abc`]) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(world.url).port), '127.0.0.1', () =>
        socket.write(bytes, () => socket.destroy()),
      )
      socket.on('close', () => resolve())
    })
  }
  t.equal((await world.http(PULL, { password })).status, 200)
})
