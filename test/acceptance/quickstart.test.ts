import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'

t.test('the first run prints one line that clones, and the clone can push', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  const gate = await cli.serveProcess(t, ['quickstart', '--port', '0'])
  const line = /^git clone (\S+)$/m.exec(gate.said.stdout)
  t.match(line?.[1], /^http:\/\/admin:ggpat-[0-9A-Za-z]{36}@127\.0\.0\.1:\d+\/admin\/sample\.git$/)

  t.match(
    gate.said.stdout,
    `In the browser: ${gate.url}/. To sign in as admin, set a password first: gitgate user passwd admin`,
  )

  const git = new GitClient(folder, 'newcomer')
  const clone = await git.clone(line![1]!, 'sample')
  t.ok(existsSync(join(clone, 'README.md')))
  await git.commit(clone, 'hello.txt', 'hello\n')
  await git.run(['push'], { cwd: clone })

  await t.test('its files are its own alone', async (t) => {
    t.equal(statSync(join(folder, 'data')).mode & 0o777, 0o700)
    for (const name of readdirSync(join(folder, 'data')).filter((name) => name !== 'empty.git')) {
      const stats = statSync(join(folder, 'data', name))
      t.equal(stats.mode & 0o777, stats.isDirectory() ? 0o700 : 0o600, name)
    }
  })

  await t.test('README’s token clones and can not push', async (t) => {
    await cli.ask(['user', 'add', 'alice'])
    await cli.ask(['access', 'grant', 'alice', 'write', 'admin/sample'])
    const { stdout, stderr } = await cli.run([
      'token',
      'create',
      'alice',
      '--name',
      'ci',
      '--scopes',
      'read_repository',
    ])
    t.match(stdout, /^ggpat-[0-9A-Za-z]{36}\n$/, 'the secret alone on standard output')
    t.match(stderr, /read_repository; never expires/)
    const url = `${gate.url.replace('//', `//alice:${stdout.trim()}@`)}/admin/sample.git`
    const readOnly = await git.clone(url, 'read-only')
    await git.commit(readOnly, 'no.txt', 'no\n')
    const push = await git.run(['push'], { cwd: readOnly, status: 128 })
    t.match(push.stderr, /remote: You are not allowed to upload code\./)
  })

  await t.test('health and readiness', async (t) => {
    t.equal((await http(gate.url, '/-/health')).body, 'GitGate OK\n')
    const ready = await http(gate.url, '/-/readiness')
    t.equal(ready.status, 200)
    t.match(JSON.parse(ready.body), { status: 'ok', store: 'ok', repositories: 'ok' })
    t.match((await http(gate.url, '/')).body, /git clone http:/)
  })

  await t.test('a second start says that the port is in use, and leaves the first alone', async (t) => {
    const port = new URL(gate.url).port
    const second = await cli.runProcess(['quickstart', '--port', port])
    t.equal(second.status, 1)
    t.match(second.stderr, /gitgate: 127\.0\.0\.1:\d+ is in use\. .*--port/)
    t.equal((await http(gate.url, '/-/health')).status, 200)
  })

  await t.test('it ends with status 0, and the next run just serves', async (t) => {
    t.equal(await gate.stop(), 0)
    const again = await cli.serveProcess(t, ['quickstart', '--port', '0'])
    t.notMatch(again.said.stdout, /git clone/)
    t.match(again.said.stderr, /Already set up/)
  })
})

t.test('a first run whose port is taken makes nothing that is lost', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => taken.on('listening', done))
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  t.equal((await cli.run(['quickstart', '--port', String(port)])).status, 1)
  const gate = await cli.serveProcess(t, ['quickstart', '--port', '0'])
  t.match(gate.said.stdout, /^git clone http:\/\/admin:/m, 'the token is still shown once')
})

t.test('bad surroundings: one line each, no stack, status 1', async (t) => {
  const cases: [string, (folder: string) => string[], RegExp][] = [
    [
      'a file where the data folder would be',
      (folder) => (writeFileSync(join(folder, 'file'), ''), ['--data', 'file', 'serve']),
      /data folder .* can't be used/,
    ],
    [
      'a database that is none',
      (folder) => (
        mkdirSync(join(folder, 'd')),
        writeFileSync(join(folder, 'd', 'gitgate.sqlite3'), 'x'.repeat(5_000)),
        ['--data', 'd', 'user', 'list']
      ),
      /can't be used: file is not a database/,
    ],
    [
      'a key that is none',
      (folder) => (
        mkdirSync(join(folder, 'k')),
        writeFileSync(join(folder, 'k', 'key'), 'short'),
        ['--data', 'k', 'user', 'list']
      ),
      /is not a key/,
    ],
    ['a wrong port', () => ['serve', '--port', '70000'], /--port: takes a whole number from 0 to 65535/],
    ['a certificate without its key', () => ['serve', '--tls-cert', 'a'], /go together/],
    [
      'a certificate that is missing',
      () => ['serve', '--port', '0', '--tls-cert', 'a', '--tls-key', 'b'],
      /a can't be read/,
    ],
    [
      'a public URL with a password in it',
      () => ['serve', '--public-url', 'https://a:b@example.com'],
      /--public-url: can't contain a username/,
    ],
    ['a configuration file that is missing', () => ['--config', 'none', 'serve'], /can't be read/],
    [
      'a mistake in the configuration file',
      (folder) => (
        writeFileSync(join(folder, 'conf'), '# fine\nGITGATE_PORT=x\nGITGATE_NONE=1\n'),
        ['--config', 'conf', 'serve']
      ),
      /conf:3: GITGATE_NONE is not known.*conf:2: takes a whole number/,
    ],
    ['an address that is not ours', () => ['serve', '--host', '192.0.2.1', '--port', '0'], /can't listen on/],
  ]
  for (const [name, prepare, expected] of cases) {
    const folder = temporaryFolder(t)
    const { status, stdout, stderr } = await new GitgateCli(folder).run(prepare(folder))
    t.equal(status, 1, name)
    t.equal(stdout, '', name)
    t.match(stderr, expected, name)
    t.equal(stderr.trim().split('\n').length, 1, name)
    t.notMatch(stderr, /\n\s+at /, name)
  }
  const unknown = await new GitgateCli(temporaryFolder(t), { GITGATE_DATABASE_URL: 'postgres://x' }).run([
    'user',
    'list',
  ])
  t.match(unknown.stderr, /GITGATE_DATABASE_URL is not known to this version/)
})
