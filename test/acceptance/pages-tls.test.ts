// The pages over TLS of the gate's own, with a certificate that nobody has signed, in a browser that is told to take it.
import { execFileSync } from 'node:child_process'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireProgram } from './programs.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

const PASSWORD = 'correct horse battery'
const STRICT = 'max-age=15552000'

function selfSigned(folder: string): readonly string[] {
  const [cert, key] = [join(folder, 'own.pem'), join(folder, 'own.key')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const made = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert]
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'pipe' })
  return ['--tls-cert', cert, '--tls-key', key]
}

t.test(
  'signing in over TLS: the cookie is of this host alone, and the browser is told to stay with HTTPS',
  { skip: NO_BROWSER || requireProgram('openssl') },
  async (t) => {
    const folder = temporaryFolder(t)
    const cli = new GitgateCli(folder)
    await cli.ask(['user', 'add', 'alice', '--password-stdin'], PASSWORD)
    const gate = await cli.serve(t, ['serve', '--port', '0', ...selfSigned(folder)])
    const { page, context, mistakes } = await visit(await startBrowser(), gate.url, { selfSigned: true })
    const first = await page.goto('/users/sign_in')
    t.equal(first?.headers()['strict-transport-security'], STRICT)
    await signIn(page, 'alice', PASSWORD)
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Repositories')
    const cookies = await context.cookies()
    t.match(
      cookies.find(({ name }) => name.startsWith('__Host-') && name.includes('session')),
      { secure: true, httpOnly: true, path: '/', domain: '127.0.0.1' },
    )
    t.ok(cookies.every(({ name }) => name.startsWith('__Host-')))
    await page.goto('/-/user_settings/active_sessions')
    t.match(await page.textContent('main'), '127.0.0.1', 'the session works')
    await page.locator('summary').first().click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.goto('/-/user_settings/password')
    t.match(page.url(), '/users/sign_in')
    t.same(mistakes, [])

    const quiet = new GitgateCli(folder, { GITGATE_HSTS: 'off' })
    const other = await quiet.serve(t, ['serve', '--port', '0', ...selfSigned(folder)])
    t.equal(await strictOf(other.url), undefined)
  },
)

t.test('behind a proxy only a trusted one can say that it was HTTPS, and plain HTTP is never told', async (t) => {
  const reported = async (flags: Record<string, string>, headers: Record<string, string>) => {
    const world = await createWorld(t, flags)
    const answer = await world.http('/users/sign_in', { headers: { Accept: 'text/html', ...headers } })
    t.equal(answer.status, 200)
    return answer.headers['strict-transport-security']
  }
  const [trusted, strangers] = ['127.0.0.1', '192.0.2.1']
  const behind = (trustedProxies: string) => ({ publicUrl: 'https://git.example.com', trustedProxies })
  const viaHttps = { 'X-Forwarded-Proto': 'https' }
  t.equal(await reported(behind(trusted), viaHttps), STRICT)
  t.equal(await reported(behind(trusted), { 'X-Forwarded-Proto': 'https, http' }), undefined, 'the last one counts')
  t.equal(await reported(behind(trusted), { 'X-Forwarded-Proto': 'http' }), undefined)
  t.equal(await reported(behind(trusted), {}), undefined)
  t.equal(await reported(behind(strangers), viaHttps), undefined)
  t.equal(await reported({ trustedProxies: trusted }, viaHttps), undefined, 'people are told an address without it')
})

function strictOf(url: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}/users/sign_in`, { rejectUnauthorized: false, headers: { Accept: 'text/html' } })
    call.on('response', (answer) => {
      answer.resume()
      resolve(answer.headers['strict-transport-security'])
    })
    call.on('error', reject)
    call.end()
  })
}
