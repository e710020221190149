// People at a browser, with JavaScript and without: what they see is usable, and looks right.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'

t.test('signing in and out', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const browser = await startBrowser()
  for (const javaScript of [true, false]) {
    const { page, mistakes } = await visit(browser, world.url, { javaScript })
    await page.goto('/')
    t.match(page.url(), '/users/sign_in')
    if (javaScript) await inspectPage(t, page, 'sign-in')
    await signIn(page, 'alice', 'wrong password')
    t.match(await page.getByRole('alert').textContent(), 'Wrong username or password.')
    if (javaScript) await inspectPage(t, page, 'sign-in-wrong')
    await page.getByLabel('Password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Repositories')
    if (javaScript) await inspectPage(t, page, 'home')
    await page.locator('.menu summary').click()
    if (javaScript) await inspectPage(t, page, 'menu')
    await page.getByRole('button', { name: 'Sign out' }).click()
    t.match(await page.getByRole('status').textContent(), 'You have signed out.')
    await page.goto('/users/nowhere')
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Page not found')
    if (javaScript) await inspectPage(t, page, 'not-found')
    t.same(mistakes, [])
  }
})

t.test('a gate without accounts says how to make one', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  for (const person of ['alice', 'root', 'mallory'] as const)
    await world.store.accounts.remove(GATE_CONTEXT, await world.account(person))
  const { page, mistakes } = await visit(await startBrowser(), world.url)
  await page.goto('/')
  t.match(await page.textContent('main'), /gitgate quickstart.*gitgate user add NAME --admin/s)
  await inspectPage(t, page, 'first-run')
  t.same(mistakes, [])
})
