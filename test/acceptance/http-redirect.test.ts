import { request } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import type { Flags } from '../../src/config/config.js'
import { makeCertificates } from './certificates.js'
import { GitgateCli } from './gitgate-cli.js'
import { basic } from './http-client.js'
import { requireProgram } from './programs.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'
import { createWorld } from './world.js'

const skip = requireProgram('openssl')

type Answer = { readonly status: number; readonly location: string | undefined; readonly text: string }

/** A gate with HTTPS, and how to ask its port for plain HTTP. */
async function redirectingWorld(t: Test, flags: Flags = {}) {
  const { ca, cert, key } = makeCertificates(temporaryFolder(t))
  const world = await createWorld(t, { tlsCert: cert, tlsKey: key, httpRedirectPort: '0', ...flags })
  const plainUrl = /"redirects":"([^"]+)"/.exec(world.log)?.[1] ?? ''
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> =>
    await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(plainUrl)
      const call = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (piece: string) => (text += piece))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, location: answer.headers.location, text }))
      })
      call.on('error', reject).end(body)
    })
  return { world, ca, plainUrl, ask }
}

t.test('plain HTTP leads to HTTPS, by the name that the client used', { skip }, async (t) => {
  const { world, ask } = await redirectingWorld(t)
  const { port } = new URL(world.url)
  const target = '/team/app.git/info/refs?service=git-upload-pack'
  t.match(await ask('GET', target, { Host: 'git.example.com:8080' }), {
    status: 308,
    location: `https://git.example.com:${port}${target}`,
  })
  t.match(await ask('POST', '/api/graphql', {}, '{}'), {
    status: 308,
    location: `https://127.0.0.1:${port}/api/graphql`,
  })
  t.match(await ask('GET', '//evil.example.com/', { Host: 'a' }), { location: `https://a:${port}//evil.example.com/` })
  for (const host of ['', 'a b', 'user@a', 'a/b?c'])
    t.notMatch((await ask('GET', '/', { Host: host })).location, / |@|c/, `Host: ${host}`)
})

t.test('the public URL is where it leads, if there is one', { skip }, async (t) => {
  const { ask } = await redirectingWorld(t, { publicUrl: 'https://git.example.com/git' })
  t.match(await ask('GET', '/a', { Host: 'evil.example.com' }), {
    status: 308,
    location: 'https://git.example.com/git/a',
  })
})

// A redirect would let it go on working, and nobody would notice that everybody on the way can read the token.
t.test('a credential over plain HTTP is refused, in words that Git shows, and never logged', { skip }, async (t) => {
  const { world, ask } = await redirectingWorld(t)
  const token = await world.token('alice', 'api')
  for (const headers of [
    { Authorization: basic('alice', token) },
    { 'Private-Token': token },
    { authorization: 'x' },
  ]) {
    const { status, location, text } = await ask('GET', '/api/v4/user', headers)
    t.equal(status, 403)
    t.equal(location, undefined)
    t.match(text, /sent over plain HTTP, .* Revoke the token, or change the password, and use https:/)
  }
  t.match(world.log, '"rule":"credential over plain HTTP"')
  t.notMatch(world.log, token)
})

t.test('Git follows the redirect, and sends its credential over HTTPS only', { skip }, async (t) => {
  const { world, ca, plainUrl } = await redirectingWorld(t)
  await world.seedRepository('alice/app')
  const token = await world.token('alice', 'read_repository')
  const clone = (url: string, ...options: string[]) =>
    world.git.run(['-c', `http.sslCAInfo=${ca}`, ...options, 'clone', url, 'cloned'], { status: 'any' })
  // What the URL of plain HTTP names is never sent: to curl, the port of HTTPS is another server.
  const named = await clone(`${plainUrl.replace('//', `//alice:${token}@`)}/alice/app.git`)
  t.equal(named.status, 128)
  const helper = `credential.helper=!f() { echo username=alice; echo password=${token}; }; f`
  const cloned = await clone(`${plainUrl}/alice/app.git`, '-c', helper)
  t.equal(cloned.status, 0, cloned.stderr)
  t.match(cloned.stderr, /warning: redirecting to https:/)
  t.notMatch(world.log, 'credential over plain HTTP')
})

t.test('the redirect needs HTTPS', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  const { status, stderr } = await cli.run(['serve', '--port', '0', '--http-redirect-port', '0'])
  t.equal(status, 1)
  t.match(stderr, /^gitgate: --http-redirect-port needs HTTPS: --tls-cert and --tls-key$/m)
})

t.test('each of several workers redirects, and all end', { skip }, async (t) => {
  const folder = temporaryFolder(t)
  const { cert, key } = makeCertificates(folder)
  const args = ['--tls-cert', cert, '--tls-key', key, '--http-redirect-port', '0', '--workers', '2']
  const gate = await new GitgateCli(folder).serveProcess(t, ['serve', '--port', '0', ...args])
  const redirects = () => /"redirects":"([^"]+)"/.exec(gate.said.stderr)?.[1]
  await until(() => redirects() !== undefined)
  const url = redirects() ?? ''
  for (let time = 0; time < 4; time += 1) t.equal((await fetch(url, { redirect: 'manual' })).status, 308)
  t.equal(await gate.stop(), 0)
})
