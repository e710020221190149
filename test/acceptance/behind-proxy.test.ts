import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { startApacheWith } from '../backends/apache.js'
import { freePort, shippedConfiguration, startServer } from '../backends/backend.js'
import { startNginx } from '../backends/nginx.js'
import { makeCertificates } from './certificates.js'
import { basic } from './http-client.js'
import { requireProgram } from './programs.js'
import { largeCommit } from './transfers.js'
import type { World } from './world.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

// gitgate behind the proxies of docs/deploy/front, configured as they ship: TLS, streaming, no limits, the right address.

type Proxy = {
  readonly programs: readonly string[]
  /** Starts the proxy. @returns the port that it listens on */
  start(t: Test, world: World, certificates: { cert: string; key: string }): Promise<number>
}

const proxies: Readonly<Record<string, Proxy>> = {
  nginx: {
    programs: ['nginx', 'openssl'],
    async start(t, { folder, url }, { cert, key }) {
      const port = await freePort()
      const server = shippedConfiguration('front/nginx.conf', {
        'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
        '/etc/ssl/git.example.com.pem': cert,
        '/etc/ssl/git.example.com.key': key,
        'http://127.0.0.1:8080': url,
      })
      await startNginx(t, join(folder, 'front'), server, port)
      return port
    },
  },
  Apache: {
    programs: ['apache2', 'openssl'],
    async start(t, { folder, url }, { cert, key }) {
      const port = await freePort()
      const server = shippedConfiguration('front/apache.conf', {
        'Listen 443': `Listen 127.0.0.1:${port}`,
        '*:443': `127.0.0.1:${port}`,
        '/etc/ssl/git.example.com.pem': cert,
        '/etc/ssl/git.example.com.key': key,
        'http://127.0.0.1:8080': url,
      })
      await startApacheWith(t, folder, server, port)
      return port
    },
  },
  haproxy: {
    programs: ['haproxy', 'openssl'],
    async start(t, { folder, url }, { cert, key }) {
      const port = await freePort()
      const both = join(folder, 'both.pem')
      writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
      const configuration = shippedConfiguration('front/haproxy.cfg', {
        'bind :443': `bind 127.0.0.1:${port}`,
        '/etc/ssl/git.example.com.pem': both,
        '127.0.0.1:8080': new URL(url).host,
      })
      const file = join(folder, 'haproxy.cfg')
      writeFileSync(file, configuration)
      await startServer(t, '/usr/sbin/haproxy', ['-f', file, '-db'], { port })
      return port
    },
  },
}

for (const [name, front] of Object.entries(proxies)) {
  t.test(`behind ${name}`, { skip: requireProgram(...front.programs) }, async (t) => {
    t.setTimeout(120_000)
    const certificates = makeCertificates(temporaryFolder(t))
    const world = await createWorld(t, { trustedProxies: '127.0.0.1', publicUrl: 'https://git.example.com' })
    const port = await front.start(t, world, certificates)
    const password = await world.token('alice', 'write_repository')
    const remote = `https://alice:${password}@127.0.0.1:${port}/alice/app.git`
    const git = ['-c', `http.sslCAInfo=${certificates.ca}`]

    await t.test('a large chunked push, and a clone of it', async (t) => {
      const large = await largeCommit(world.git, `large-${name}`, 30)
      await world.git.run([...git, 'push', '-q', remote, 'main'], { cwd: large.folder })
      await world.git.run([...git, 'clone', '-q', remote, `clone-${name}`])
      t.equal(await world.git.ask(['rev-parse', 'HEAD'], { cwd: join(world.git.home, `clone-${name}`) }), large.oid)
    })

    await t.test('a refusal, as git prints it', async (t) => {
      const wrong = remote.replace(password, 'wrong')
      const { stderr } = await world.git.run([...git, 'ls-remote', wrong], { status: 128 })
      t.match(stderr, /remote: HTTP Basic: Access denied/)
      const reader = remote.replace(password, await world.token('alice', 'read_repository'))
      const folder = await world.git.init(`refused-${name}`)
      const push = await world.git.run([...git, 'push', reader, 'main'], { cwd: folder, status: 128 })
      t.match(push.stderr, /remote: You are not allowed to upload code\./)
    })

    await t.test('the gate sees the client’s address, not what the client says', async (t) => {
      const headers = { Authorization: basic('', password), 'X-Forwarded-For': '6.6.6.6' }
      await new Promise<void>((resolve, reject) => {
        const path = '/alice/app.git/info/refs?service=git-upload-pack'
        const call = request({
          host: '127.0.0.1',
          port,
          path,
          headers,
          rejectUnauthorized: false,
          localAddress: '127.0.0.2',
          agent: false,
        })
        call.on('response', (answer) => answer.resume().on('end', () => resolve()))
        call.on('error', reject)
        call.end()
      })
      t.match(world.log.trimEnd().split('\n').at(-1), /"ip":"127\.0\.0\.2"/)
      t.notMatch(world.log, /6\.6\.6\.6/)
    })
  })
}
