// The whole life of a token at a browser: with JavaScript and without.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { generateSync } from 'otplib'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import t from 'tap'
import { until } from './until.js'
import { DAY } from '../../src/core/clock.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'
const TOKENS = '/-/user_settings/personal_access_tokens'

const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

let seed = ''
const code = (world: World): string => generateSync({ secret: seed, epoch: Math.floor(world.now.getTime() / 1_000) })

/** Switches two-factor authentication on, as people do. */
async function enrol(page: Page, world: World): Promise<void> {
  await page.goto('/-/user_settings/two_factor_auth')
  seed = (await page.locator('#seed').textContent())!.replaceAll(' ', '')
  await page.getByLabel('Code from the app').fill(code(world))
  await page.getByLabel('Your password').fill(PASSWORD)
  await button(page, 'Turn on').click()
}

/** A day later the session has ended. */
async function signInAgain(page: Page, world: World): Promise<void> {
  await signIn(page, 'alice', PASSWORD)
  await page.getByLabel('Code').fill(code(world))
  await button(page, 'Continue').click()
}

/** Pastes the page's lines into a shell: git remembers the token, and asks for nothing. @returns the clone's folder */
async function pasteAndClone(t: Test, world: World, lines: readonly string[], secret: string): Promise<string> {
  const { home } = world.git
  t.teardown(() => world.git.run(['credential-cache', 'exit'], { status: 'any' }))
  const env = { HOME: home, PATH: process.env['PATH'] ?? '', GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' }
  const shell = spawn('bash', ['-c', lines.join(' && ')], { cwd: home, env, stdio: ['pipe', 'ignore', 'ignore'] })
  shell.stdin.end(`${secret}\n`)
  const [status] = (await once(shell, 'close')) as [number]
  t.equal(status, 0, 'the lines of the page clone')
  return join(home, 'app')
}

/** Waits until the audit log has this many pushes. */
async function recordedPushes(world: World, count: number): Promise<void> {
  const pushes = () => world.store.audit.list({ action: 'git.pushed', limit: 100 })
  await until(async () => (await pushes()).length >= count)
}

async function secretOn(page: Page): Promise<string> {
  return (await page.locator('#token-secret').textContent())!.trim()
}

for (const javaScript of [true, false]) {
  const how = javaScript ? 'with JavaScript' : 'without JavaScript'
  t.test(`from enrolment to a push, and to its end, ${how}`, { skip: NO_BROWSER }, async (t: Test) => {
    const world = await createWorld(t)
    await world.setPassword('alice', PASSWORD)
    await world.grant('alice', 'write', 'team/*')
    await world.grant('@all', 'read', 'docs/**')
    for (const path of ['team/app', 'team/web', 'docs/guide']) await world.seedRepository(path)
    const { context, page, mistakes } = await visit(await startBrowser(), world.url, { javaScript })
    const inspect = (name: string) => (javaScript ? inspectPage(t, page, name) : undefined)
    await signIn(page, 'alice', PASSWORD)
    await enrol(page, world)
    await page.goto(TOKENS)
    t.match(await page.textContent('main'), /No active tokens.*Create one/s)
    await inspect('tokens-none')
    await page.getByRole('main').getByRole('link', { name: 'New token' }).first().click()
    t.match(await heading(page), 'New token')
    await inspect('token-new')

    await page.getByLabel('Name').fill('laptop')
    await page.getByLabel('Description').fill('On the desk')
    await page.getByRole('radio', { name: '90 days' }).check()
    await page.getByRole('checkbox', { name: 'write_repository' }).check()
    await page.getByLabel('Limit to repositories').fill('team/a*\nteam/zzz')
    await page.getByLabel('Limit pushes to').fill('agent/*')
    await page.getByText('Test a push').click()
    await page.getByLabel('Branch or ref').fill('main')
    // Enter where a push is tried must not make the token.
    await page.keyboard.press('Enter')
    await page.locator('#preview').getByText('refs/heads/main').waitFor()
    t.match(page.url(), javaScript ? /\/new$/ : /\/preview#preview-title$/, 'the preview is where one looks')
    const preview = await page.locator('#preview').innerText()
    t.match(
      preview,
      /1 of your 3 repositories.*team\/app.*clone, push.*team\/zzz matches no repository.*agent\/\*.*create and update/s,
    )
    t.match(preview, /refs\/heads\/main in team\/app.*create.*no.*can only push to refs\/heads\/agent\/\*/s)
    t.notMatch(preview, 'team/web')
    t.equal(await page.getByLabel('Name').inputValue(), 'laptop', 'what was typed stays')
    await inspect('token-new-filled')
    await button(page, 'Create token').click()

    t.match(await page.locator('.new-token').innerText(), /Token laptop created/)
    await inspect('token-made')
    const secret = await secretOn(page)
    const clone = (await page.locator('#token-clone').textContent())!
    t.equal(clone, `git clone ${world.remote('team/app').replace('//', '//alice@')}`)
    if (javaScript) {
      await context.grantPermissions(['clipboard-read', 'clipboard-write'])
      await page.getByRole('button', { name: 'Copy', exact: true }).click()
      await page.getByRole('button', { name: 'Copied' }).waitFor()
      t.equal(await page.evaluate('navigator.clipboard.readText()'), secret)
      await page.getByRole('button', { name: 'Copied' }).waitFor({ state: 'detached' })
    }
    const text = async (id: string) => (await page.locator(id).textContent())!
    const lines = [await text('#token-helper'), await text('#token-approve'), clone]
    await page.reload()
    t.equal(await page.locator('.new-token').count(), 0, 'it is shown once')
    t.notMatch(await page.content(), secret)
    t.match(await page.locator('tbody tr').innerText(), /laptop.*Active.*write_repository.*team\/a\*.*agent\/\*/s)
    await inspect('tokens')

    const remote = world.remote('team/app', secret)
    const cwd = await pasteAndClone(t, world, lines, secret)
    const push = (to: string, branch: string) =>
      world.git.run(['push', to, `HEAD:refs/heads/${branch}`], { cwd, status: 'any' })
    t.equal((await push(remote, 'agent/one')).status, 0, 'pushed with the secret from the page')
    t.match((await push(remote, 'other')).stderr, 'can only push to', 'its limits hold')
    await recordedPushes(world, 1)

    await page.getByRole('link', { name: 'Rotate laptop' }).click()
    await inspect('token-rotate')
    await page.getByRole('radio', { name: 'In 1 day' }).check()
    await button(page, 'Rotate token').click()
    t.match(await page.locator('.new-token').innerText(), /The old token keeps working until/)
    await inspect('token-rotated')
    const next = await secretOn(page)
    t.not(next, secret)
    const lists = async () => (await world.git.run(['ls-remote', remote], { status: 'any' })).status
    t.equal(await lists(), 0, 'the old one works for a day')
    world.advance(DAY)
    t.not(await lists(), 0)
    await signInAgain(page, world)
    const rotated = world.remote('team/app', next)
    t.equal((await push(rotated, 'agent/two')).status, 0)
    await recordedPushes(world, 2)

    await page.goto(TOKENS)
    await page.getByRole('link', { name: 'Revoke laptop' }).click()
    t.match(await page.locator('.use').innerText(), /team\/app.*pushed 1×.*127\.0\.0\.1.*git\//s)
    await inspect('token-revoke')
    await button(page, 'Revoke token').click()
    t.match(await page.getByRole('status').first().textContent(), 'laptop was revoked')
    t.match((await push(rotated, 'agent/three')).stderr, 'was revoked')
    await page.goto(`${TOKENS}?state=inactive`)
    await inspect('tokens-inactive')
    t.equal(await page.locator('tbody tr').count(), 2)
    t.same(mistakes, [])
  })
}

t.test('the policies, and what is wrong, as people see them', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  await world.set('max_personal_access_token_lifetime', '45')
  const { page, mistakes } = await visit(await startBrowser(), world.url)
  await signIn(page, 'alice', PASSWORD)
  await page.goto(`${TOKENS}?name=builds&scopes=read_repository,nonsense`)
  t.equal(await page.getByLabel('Name').inputValue(), 'builds')
  t.ok(await page.getByRole('checkbox', { name: 'read_repository' }).isChecked())
  t.equal(await page.getByRole('radio', { name: 'Never' }).count(), 0)
  t.equal(await page.getByLabel('Expiration date').isVisible(), false)
  await page.getByRole('radio', { name: 'Custom' }).check()
  // A browser would keep it from being sent; whoever is without one is pushes why.
  await page.evaluate(`document.querySelector('form.making').noValidate = true`)
  await page.getByLabel('Expiration date').fill('2099-01-01')
  await page.getByLabel('Limit to repositories').fill('team//app')
  await page.locator('#preview').getByText('is not a repository pattern').waitFor()
  await page.getByText('Push limits').click()
  await page.getByLabel('Maximum size of all pushes').fill('lots')
  await button(page, 'Create token').click()
  t.match(await page.getByRole('alert').textContent(), 'The token wasn’t created')
  t.match(await page.locator('#expiry-error').textContent(), 'Tokens must expire by')
  t.match(await page.locator('#repositories-error').textContent(), 'is not a repository pattern')
  t.match(await page.locator('#max_push_bytes-error').textContent(), 'is not a size')
  await inspectPage(t, page, 'token-new-wrong')
  t.same(mistakes, [])
})

t.test('all kinds of tokens in one list, whatever their names hold', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const evil = `"><img src=x onerror="alert(1)"><script>alert(2)</script>${'long'.repeat(30)}`
  const inDays = (days: number) => new Date(world.now.getTime() + days * DAY)
  const limits = {
    restrictions: parseRestrictions(['team/app', 'team/web-*', 'docs/**'], ['agent/*', 'refs/tags/v*:create,delete']),
    budget: { pushes: 20, bytes: 50 * 1_024 ** 2 },
  }
  await world.issue('alice', ['api', 'read_user', 'write_repository'], {
    name: evil,
    description: evil,
    expiry: inDays(400),
  })
  await world.issue('alice', ['write_repository'], { name: 'agent', expiry: inDays(2), ...limits })
  await world.issue('alice', ['read_repository'], { name: 'endless', expiry: 'never' })
  const { token } = await world.issue('alice', ['read_api'], { name: 'gone', expiry: inDays(30) })
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  const { page, mistakes } = await visit(await startBrowser(), world.url)
  page.on('dialog', (dialog) => {
    t.fail('a script in a name has run')
    void dialog.dismiss()
  })
  await signIn(page, 'alice', PASSWORD)
  await page.goto(`${TOKENS}?sort=created_asc`)
  await page.getByLabel('State').selectOption('all')
  await page.locator('.badge', { hasText: 'Revoked' }).waitFor()
  t.equal(await page.locator('tbody tr').count(), 4)
  await inspectPage(t, page, 'tokens-many')
  await page.getByLabel('Search').fill('web-')
  await page.keyboard.press('Enter')
  await page.waitForURL(/search=web-/)
  t.equal(await page.locator('tbody tr').count(), 1)
  for (const what of ['Revoke', 'Rotate']) {
    await page.goto(TOKENS)
    await page.getByRole('link', { name: `${what} ">` }).click()
    t.match(await heading(page), '<script>')
    await inspectPage(t, page, `token-${what.toLowerCase()}-long`)
  }
  await button(page, 'Rotate token').click()
  t.match(await page.locator('.new-token h2').textContent(), '<script>')
  await inspectPage(t, page, 'token-made-long')
  t.same(mistakes, [])
})
