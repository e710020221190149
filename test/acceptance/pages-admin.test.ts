// The administration, as administrators at a browser meet it: with JavaScript and without.
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import t from 'tap'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'

type Desk = {
  readonly world: World
  readonly page: Page
  /** Looks at the page as it is, once. */
  readonly inspect: (name: string) => Promise<void>
  /** What the page says was done. */
  readonly said: () => Promise<string | null>
  readonly click: (button: string) => Promise<void>
}

/** Runs a test as the administrator at a browser, with JavaScript and without. */
function atTheDesk(name: string, run: (t: Test, desk: Desk) => Promise<void>): void {
  for (const javaScript of [true, false]) {
    const how = javaScript ? 'with JavaScript' : 'without JavaScript'
    t.test(`${name}, ${how}`, { skip: NO_BROWSER }, async (t) => {
      const world = await createWorld(t)
      await world.setPassword('root', PASSWORD)
      const { page, mistakes } = await visit(await startBrowser(t), world.url, { javaScript })
      await signIn(page, 'root', PASSWORD)
      await run(t, {
        world,
        page,
        inspect: async (name) => (javaScript ? inspectPage(t, page, `admin-${name}`) : undefined),
        said: () => page.getByRole('status').textContent(),
        click: (button) => page.getByRole('button', { name: button, exact: true }).click(),
      })
      t.same(mistakes, [])
    })
  }
}

atTheDesk('accounts', async (t, { world, page, inspect, said, click }) => {
  await page.goto('/-/admin/users')
  await inspect('accounts')
  await page.getByRole('link', { name: 'New account' }).click()
  await inspect('new-account')
  await page.getByLabel('Username').fill('api')
  await page.getByLabel('Your own password').fill(PASSWORD)
  await click('Make the account')
  t.match(await page.textContent('main'), 'is reserved for gitgate')
  await inspect('new-account-wrong')
  await page.getByLabel('Username').fill('bob')
  await page.getByLabel('Name', { exact: true }).fill('Bob the builder')
  await page.getByLabel('Your own password').fill(PASSWORD)
  await click('Make the account')
  t.match(await said(), 'The account bob is there.')
  await inspect('account')

  await page.getByRole('link', { name: 'Set the password' }).click()
  await inspect('set-password')
  await page.getByLabel('New password').fill('another horse battery')
  await page.getByLabel('Your own password').fill(PASSWORD)
  await click('Set the password')
  t.match(await said(), 'The password of bob is set')

  await page.getByRole('link', { name: 'Block' }).click()
  await inspect('block')
  await click('Block the account')
  t.match(await said(), 'bob is blocked.')
  await page.getByRole('link', { name: 'Lift the block' }).click()
  await click('Lift the block')
  t.match(await said(), 'bob is active.')
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByLabel('Type bob to go on').fill('bobby')
  await click('Delete the account')
  await inspect('delete-wrong')
  await page.getByLabel('Type bob to go on').fill('bob')
  await click('Delete the account')
  t.match(await said(), 'bob is deleted.')
  t.equal(await world.store.accounts.findByUsername('bob'), undefined)

  await page.getByLabel('Search').fill('nobody')
  await click('Filter')
  await inspect('accounts-none')
  await page.getByRole('link', { name: 'Show all' }).click()
  await page.getByRole('link', { name: 'root' }).click()
  await inspect('own-account')
})
