// An upstream that requires a client certificate: the gate presents one, and finds out at its start if it can't.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { kindAt } from '../git/upstream/stand-in.js'
import { makeCertificates } from './certificates.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireProgram } from './programs.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'
import { createWorld } from './world.js'

const skip = requireProgram('openssl')

/** Starts a TLS server that takes connections with a certificate of its CA only, in front of a Git server. */
async function startTlsUpstream(t: Test) {
  const server = await createWorld(t)
  await server.grant('alice', 'admin', 'team/**')
  const authorization = `Basic ${Buffer.from(`alice:${await server.token('alice', 'write_repository')}`).toString('base64')}`
  const { ca, cert, key } = makeCertificates(temporaryFolder(t))
  const tls = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) }
  const front = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (incoming, outgoing) => {
    const { method, headers, url = '/' } = incoming
    const inner = request(new URL(url, server.url), { method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers)
      response.pipe(outgoing)
    })
    incoming.pipe(inner)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => front.on('listening', resolve))
  t.teardown(() => {
    front.closeAllConnections()
    front.close()
  })
  const url = `https://127.0.0.1:${(front.address() as AddressInfo).port}`
  return {
    server,
    url,
    kind: kindAt(url),
    flags: { upstreamCa: ca, upstreamAuthorization: authorization },
    ca,
    cert,
    key,
  }
}

t.test('clone and push through an upstream that requires a client certificate', { skip }, async (t) => {
  const { server, kind, flags, cert, key } = await startTlsUpstream(t)
  await server.seedRepository('team/app')
  const world = await createWorld(t, { ...flags, upstreamClientCert: cert, upstreamClientKey: key }, kind)
  t.equal((await world.http('/-/readiness')).status, 200)
  await world.grant('alice', 'write', 'team/**')
  const remote = world.remote('team/app', await world.token('alice', 'write_repository'))
  const clone = await world.git.clone(remote, 'clone')
  const commit = await world.git.commit(clone, 'a.txt', 'a\n')
  await world.git.run(['push', '--quiet'], { cwd: clone })
  t.match(await world.git.ask(['ls-remote', remote]), commit)
})

t.test('without a certificate, or with one of another CA, the upstream is not ready', { skip }, async (t) => {
  const { kind, flags } = await startTlsUpstream(t)
  const other = makeCertificates(temporaryFolder(t))
  for (const certificate of [{}, { upstreamClientCert: other.cert, upstreamClientKey: other.key }]) {
    const world = await createWorld(t, { ...flags, ...certificate }, kind)
    t.equal((await world.http('/-/readiness')).status, 503)
    t.match(world.log, /the upstream can't be reached: .*(alert|reset|hang up|disconnected)/i)
    await world.grant('alice', 'write', 'team/**')
    const remote = world.remote('team/app', await world.token('alice', 'write_repository'))
    t.match((await world.git.run(['ls-remote', remote], { status: 'any' })).stderr, /error: 502/)
  }
})

t.test('a certificate that was replaced is used for new connections', { skip }, async (t) => {
  const { kind, flags, cert, key } = await startTlsUpstream(t)
  const own = makeCertificates(temporaryFolder(t))
  const world = await createWorld(t, { ...flags, upstreamClientCert: own.cert, upstreamClientKey: own.key }, kind)
  await world.grant('alice', 'write', 'team/**')
  const remote = world.remote('team/app', await world.token('alice', 'write_repository'))
  t.match((await world.git.run(['ls-remote', remote], { status: 'any' })).stderr, /error: 502/)
  copyFileSync(key, own.key)
  copyFileSync(cert, own.cert)
  await until(async () => (await world.http('/-/readiness')).status === 200)
  t.match((await world.git.run(['ls-remote', remote], { status: 'any' })).stderr, /not found/)
  t.match(world.log, /reloaded the upstream's certificates/)
})

t.test('a certificate that can not be used is reported at the start, and by doctor', { skip }, async (t) => {
  const folder = temporaryFolder(t)
  const { cert, key } = makeCertificates(folder)
  const otherKey = join(folder, 'other.key')
  execFileSync('openssl', ['genrsa', '-out', otherKey, '2048'], { stdio: 'pipe' })
  const noPem = join(folder, 'no.pem')
  writeFileSync(noPem, '-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n')
  const upstream = { GITGATE_UPSTREAM: 'https://127.0.0.1:9' }
  const mistakes: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ ...upstream, GITGATE_UPSTREAM_CLIENT_CERT: cert }, /go together: GITGATE_UPSTREAM_CLIENT_CERT and/],
    [
      { ...upstream, GITGATE_UPSTREAM_CLIENT_CERT: cert, GITGATE_UPSTREAM_CLIENT_KEY: otherKey },
      /can't be used: .*mismatch/,
    ],
    [
      { ...upstream, GITGATE_UPSTREAM_CLIENT_CERT: join(folder, 'gone'), GITGATE_UPSTREAM_CLIENT_KEY: key },
      /can't be read/,
    ],
    [{ ...upstream, GITGATE_UPSTREAM_CA: noPem }, /no\.pem can't be used/],
    [
      { GITGATE_UPSTREAM: 'http://127.0.0.1:9', GITGATE_UPSTREAM_CLIENT_CERT: cert, GITGATE_UPSTREAM_CLIENT_KEY: key },
      /need an https:\/\/ upstream/,
    ],
  ]
  for (const [env, message] of mistakes) {
    const cli = new GitgateCli(folder, env)
    const { status, stderr } = await cli.run(['serve', '--port', '0'])
    t.not(status, 0)
    t.match(stderr, message)
    const doctor = await cli.run(['doctor'])
    t.not(doctor.status, 0)
    t.match(doctor.stdout + doctor.stderr, message)
  }
})
