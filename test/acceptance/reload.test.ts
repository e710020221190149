import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { httpUpstream } from '../git/upstream/stand-in.js'
import { makeCertificates } from './certificates.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireProgram } from './programs.js'
import { temporaryFolder } from './temporary-folder.js'
import { beginFetch, largeCommit } from './transfers.js'
import { until } from './until.js'
import { createWorld } from './world.js'

const skip = requireProgram('openssl')

/** A certificate in use, another one, and what replaces a file as an administrator does. */
function certificates(t: Test) {
  const folder = temporaryFolder(t)
  const [first, second] = ['first', 'second'].map((name) => {
    mkdirSync(join(folder, name))
    return makeCertificates(join(folder, name))
  }) as [ReturnType<typeof makeCertificates>, ReturnType<typeof makeCertificates>]
  return { first, second }
}

function replace(file: string, by: string): void {
  copyFileSync(by, `${file}.new`)
  renameSync(`${file}.new`, file)
}

/** The fingerprint of the certificate that a new connection sees. */
async function seenAt(url: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

t.test('a certificate that was replaced is used by new connections, and a clone goes on', { skip }, async (t) => {
  const { first, second } = certificates(t)
  const world = await createWorld(t, { tlsCert: first.cert, tlsKey: first.key })
  await world.createRepository('alice/app')
  const commit = await largeCommit(world.git, 'large', 16)
  const [token, before] = [await world.token('alice', 'write_repository'), await seenAt(world.url)]
  const local = ['-c', 'http.sslVerify=false']
  await world.git.run([...local, 'push', '-q', world.remote('alice/app', token), 'main'], { cwd: commit.folder })
  const { answer } = await beginFetch({ url: world.url, path: 'alice/app', password: token }, commit.oid)
  t.equal(answer.statusCode, 200)

  replace(first.cert, second.cert)
  replace(first.key, second.key)
  await until(async () => (await seenAt(world.url)) !== before)
  t.match(world.log, '"msg":"reloaded the TLS certificate"')
  let received = 0
  for await (const chunk of answer) received += (chunk as Buffer).length
  t.ok(received > commit.size, 'the clone that was running is complete')
})

t.test('a broken certificate is reported, and the old one stays in use', { skip }, async (t) => {
  const { first, second } = certificates(t)
  const world = await createWorld(t, { tlsCert: first.cert, tlsKey: first.key })
  const before = await seenAt(world.url)
  const failures = () => world.log.split("the TLS certificate can't be reloaded; the old one stays in use").length - 1
  const breakers: (() => void)[] = [
    // A key that does not fit yet, while somebody replaces one file after the other.
    () => replace(first.key, second.key),
    () => writeFileSync(first.cert, 'not PEM'),
    () => rmSync(first.cert),
  ]
  for (const breakIt of breakers) {
    const count = failures()
    breakIt()
    await until(() => failures() > count)
    t.equal(await seenAt(world.url), before)
  }
  const count = failures()
  copyFileSync(second.cert, first.cert)
  await until(async () => (await seenAt(world.url)) !== before)
  t.equal(failures(), count, 'and each change is reported once')
})

for (const workers of ['1', '2'])
  t.test(`SIGHUP reloads without waiting for a look, with ${workers} workers`, { skip }, async (t) => {
    const { first, second } = certificates(t)
    const cli = new GitgateCli(temporaryFolder(t))
    const args = ['serve', '--port', '0', '--tls-cert', first.cert, '--tls-key', first.key, '--workers', workers]
    const gate = await cli.serveProcess(t, args)
    const reloads = () => gate.said.stderr.split('"msg":"reloaded the TLS certificate"').length - 1
    // Nothing has changed: only the signal can be why.
    gate.child.kill('SIGHUP')
    await until(() => reloads() === Number(workers))
    const before = await seenAt(gate.url)
    replace(first.cert, second.cert)
    replace(first.key, second.key)
    gate.child.kill('SIGHUP')
    await until(() => reloads() >= 2 * Number(workers))
    for (let connection = 0; connection < 6; connection += 1) t.not(await seenAt(gate.url), before)
    t.equal(await gate.stop(), 0)
  })

t.test("the upstream's credential is read again, and a broken one is not used", async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'authorization')
  writeFileSync(file, 'Basic b2xk\n')
  const seen: (string | undefined)[] = []
  const kind = await httpUpstream(t, (request, response) => {
    seen.push(request.headers.authorization)
    response.writeHead(404).end()
  })
  const world = await createWorld(t, { upstreamAuthorizationFile: file, cache: 'off' }, kind)
  await world.grant('alice', 'read', '**')
  const token = await world.token('alice', 'read_repository')
  const ask = async () => {
    await world.http('/a/b.git/info/refs?service=git-upload-pack', { password: token })
    return seen.at(-1)
  }
  t.equal(await ask(), 'Basic b2xk')
  writeFileSync(file, 'Basic bmV3\n')
  await until(async () => (await ask()) === 'Basic bmV3')
  t.match(world.log, /"msg":"reloaded the upstream's credential"/)
  writeFileSync(file, 'no\nheader\n')
  await until(() => world.log.includes("the upstream's credential can't be reloaded; the old one stays in use"))
  t.equal(await ask(), 'Basic bmV3')
  t.notMatch(world.log, /b2xk|bmV3/, 'the log holds no credential')
})
