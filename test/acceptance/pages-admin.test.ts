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

atTheDesk('grants, protected refs, and what comes of them', async (t, { world, page, inspect, said, click }) => {
  await page.goto('/-/admin/grants')
  await inspect('grants-none')
  await page.getByLabel('Who').fill('@anonymous')
  await page.getByLabel('May').selectOption('write')
  await page.getByLabel('Repositories').fill('team/**')
  await click('Grant')
  t.match(await page.getByRole('alert').textContent(), '@anonymous can only read')
  await inspect('grants-wrong')
  await page.getByLabel('Who').fill('alice')
  await click('Grant')
  t.match(await said(), 'alice may write team/**.')
  await world.grant('@all', 'read', 'documentation/of/the/whole/company/**')
  await world.grant('root', 'admin', '**')
  await page.goto('/-/admin/grants')
  await inspect('grants')

  await page.goto('/-/admin/protected_refs')
  await inspect('protections-none')
  await page.getByLabel('Repositories').fill('team/**')
  await page.getByLabel('Refs').fill('main')
  await click('Protect')
  t.match(await said(), 'refs/heads/main of team/** is protected')
  await inspect('protections')

  await page.goto('/-/admin/explain')
  await inspect('explain')
  await page.getByLabel('Who').fill('alice')
  await page.getByLabel('Repository').fill('team/app')
  await page.getByLabel('Ref, if you like').fill('main')
  await click('Explain')
  t.match(await said(), 'alice may clone, fetch and push')
  await inspect('explained')
  await page.getByLabel('Who').fill('nobody')
  await click('Explain')
  await inspect('explain-wrong')

  await page.goto('/-/admin/grants')
  await page.getByRole('link', { name: 'Take back what alice may on team/**' }).click()
  await inspect('confirm')
  await click('Take it back')
  t.match(await said(), 'alice has no grant on team/** any more.')
  await page.goto('/-/admin/protected_refs')
  await page.getByRole('link', { name: /^End/ }).click()
  await click('End the protection')
  t.match(await said(), 'is not protected any more.')
})
