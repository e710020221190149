// The second factor, the password and the sessions, as people at a browser meet them: with JavaScript and without.
import { readFileSync } from 'node:fs'
import { generateSync } from 'otplib'
import type { Page } from 'playwright-core'
import t from 'tap'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'
const TWO_FACTOR = '/-/user_settings/two_factor_auth'

const codeOf = (seed: string, world: World): string =>
  generateSync({ secret: seed, epoch: Math.floor(world.now.getTime() / 1_000) })

async function giveCode(page: Page, code: string): Promise<void> {
  await page.getByLabel('Code').fill(code)
  await page.getByRole('button', { name: 'Continue' }).click()
}

for (const javaScript of [true, false]) {
  const how = javaScript ? 'with JavaScript' : 'without JavaScript'
  t.test(`two-factor authentication, ${how}`, { skip: NO_BROWSER }, async (t) => {
    const world = await createWorld(t)
    await world.setPassword('alice', PASSWORD)
    const { page, mistakes } = await visit(await startBrowser(), world.url, { javaScript })
    const inspect = (name: string) => (javaScript ? inspectPage(t, page, name) : undefined)
    await signIn(page, 'alice', PASSWORD)
    await page.goto(TWO_FACTOR)
    await inspect('two-factor-off')
    const seed = (await page.locator('#seed').textContent())!.replaceAll(' ', '')

    await page.getByLabel('Code from the app').fill('000000')
    await page.getByLabel('Your password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Turn on' }).click()
    t.match(await page.textContent('main'), 'The code doesn’t match this secret.')
    t.equal((await world.account('alice')).twoFactorEnabled, false, 'it is on only after a code was confirmed')
    await inspect('two-factor-wrong')
    t.equal((await page.locator('#seed').textContent())!.replaceAll(' ', ''), seed, 'no second scan')

    await page.getByLabel('Code from the app').fill(codeOf(seed, world))
    await page.getByLabel('Your password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Turn on' }).click()
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Your recovery codes')
    t.equal((await world.account('alice')).twoFactorEnabled, true)
    const codes = await page.locator('.codes code').allTextContents()
    t.equal(codes.length, 10)
    await inspect('recovery-codes')
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download' }).click(),
    ])
    const saved = readFileSync(await download.path(), 'utf8')
    t.ok(
      codes.every((code) => saved.includes(code)),
      'they are in the file',
    )
    await page.reload()
    t.match(page.url(), new RegExp(`${TWO_FACTOR}$`), 'they are shown once')
    await inspect('two-factor-on')

    await page.goto('/users/sign_out')
    await inspect('sign-out')
    await page.getByRole('main').getByRole('button', { name: 'Sign out' }).click()
    await signIn(page, 'alice', PASSWORD)
    await inspect('second-factor')
    await giveCode(page, codeOf(seed, world))
    t.match(
      await page.getByRole('alert').textContent(),
      'wrong, or was already used',
      'the code that confirmed is used',
    )
    await giveCode(page, codes[0]!)
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Repositories', 'a recovery code signs in')
    await page.goto('/users/sign_out')
    await page.getByRole('main').getByRole('button', { name: 'Sign out' }).click()
    await signIn(page, 'alice', PASSWORD)
    await giveCode(page, codes[0]!)
    t.match(await page.getByRole('alert').textContent(), 'wrong, or was already used', 'but once')
    world.advance(60_000)
    await giveCode(page, codeOf(seed, world))
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Repositories')

    await page.goto(TWO_FACTOR)
    t.match(await page.textContent('main'), '9 left')
    await page.locator('#disable_password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Turn off two-factor authentication' }).click()
    t.match(await page.getByRole('status').textContent(), 'Two-factor authentication is off.')
    t.equal((await world.account('alice')).twoFactorEnabled, false)
    t.same(mistakes, [])
  })

  t.test(`password and sessions, ${how}`, { skip: NO_BROWSER }, async (t) => {
    const world = await createWorld(t)
    await world.setPassword('alice', PASSWORD)
    const browser = await startBrowser()
    const [one, two] = [
      await visit(browser, world.url, { javaScript }),
      await visit(browser, world.url, { javaScript }),
    ] as const
    const inspect = (name: string) => (javaScript ? inspectPage(t, one.page, name) : undefined)
    await signIn(one.page, 'alice', PASSWORD)
    await signIn(two.page, 'alice', PASSWORD)
    await one.page.goto('/-/user_settings/active_sessions')
    await inspect('sessions')
    t.equal(await one.page.locator('tbody tr').count(), 2)
    await one.page.getByRole('button', { name: /^End/ }).click()
    t.match(await one.page.getByRole('status').textContent(), 'Session ended.')
    await two.page.goto('/')
    t.match(two.page.url(), '/users/sign_in', 'it is ended')

    await signIn(two.page, 'alice', PASSWORD)
    await one.page.goto('/-/user_settings/password')
    await inspect('password')
    const change = async (current: string, next: string, again = next) => {
      await one.page.getByLabel('Current password').fill(current)
      await one.page.getByLabel('New password', { exact: true }).fill(next)
      await one.page.getByLabel('Confirm new password').fill(again)
      await one.page.getByRole('button', { name: 'Change password' }).click()
    }
    await change('not it', 'another horse battery')
    t.match(await one.page.textContent('main'), 'Wrong password.')
    await change(PASSWORD, 'password123')
    t.match(await one.page.textContent('main'), 'This password is too common; choose another one.')
    await inspect('password-wrong')
    await change(PASSWORD, 'another horse battery', 'another house battery')
    t.match(await one.page.textContent('main'), 'The passwords don’t match.')
    await change(PASSWORD, 'another horse battery')
    t.match(await one.page.getByRole('status').textContent(), 'Password changed.')
    await two.page.goto('/-/user_settings/password')
    t.match(two.page.url(), '/users/sign_in?return_to=', 'signed out everywhere else')
    t.same([...one.mistakes, ...two.mistakes], [])
  })
}
