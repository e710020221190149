import { join } from 'node:path'
import t from 'tap'
import { makeCertificates } from './certificates.js'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireProgram } from './programs.js'
import { temporaryFolder } from './temporary-folder.js'

t.test('clone and push over HTTPS, with a certificate of an own CA', { skip: requireProgram('openssl') }, async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  const { ca, cert, key } = makeCertificates(folder)
  await cli.ask(['user', 'add', 'alice'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'write_repository'])
  const gate = await cli.serve(t, ['serve', '--port', '0', '--tls-cert', cert, '--tls-key', key])
  t.match(gate.url, /^https:\/\/127\.0\.0\.1:\d+$/)

  const git = new GitClient(folder, 'client')
  const remote = `${gate.url.replace('//', `//alice:${token}@`)}/alice/app.git`
  const trusting = ['-c', `http.sslCAInfo=${ca}`]
  const local = await git.init('local')
  await git.run([...trusting, 'push', remote, 'main'], { cwd: local })
  await git.run([...trusting, 'clone', remote, 'clone'])
  t.equal(
    await git.ask(['rev-parse', 'HEAD'], { cwd: join(git.home, 'clone') }),
    await git.ask(['rev-parse', 'HEAD'], { cwd: local }),
  )
  const distrusting = await git.run(['clone', remote, 'none'], { status: 128 })
  t.match(distrusting.stderr, /certificate/, 'the certificate is checked')
  const plain = await git.run(['clone', remote.replace('https', 'http'), 'none'], { status: 128 })
  t.ok(plain.stderr, 'plain HTTP is not answered')
})

t.test(
  'files that are no certificate, or no key of it, are refused in one line',
  { skip: requireProgram('openssl') },
  async (t) => {
    const folder = temporaryFolder(t)
    const cli = new GitgateCli(folder)
    const { ca, cert, key } = makeCertificates(folder)
    const other = join(folder, 'ca.key')
    for (const [certFile, keyFile] of [
      [key, cert],
      [cert, other],
      [ca, key],
    ] as const) {
      const { status, stderr } = await cli.run(['serve', '--port', '0', '--tls-cert', certFile, '--tls-key', keyFile])
      t.equal(status, 1)
      t.match(stderr, /^gitgate: the certificate .* and the key .* can't be used: /)
      t.equal(stderr.trim().split('\n').length, 1)
    }
  },
)
