// The start page of people at a browser, with JavaScript and without: what they may clone.
import t from 'tap'
import { nodeGitServer } from '../backends/node-git-server.js'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'

t.test('the repositories that one may read', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const browser = await startBrowser()
  for (const javaScript of [true, false]) {
    const { page, context, mistakes } = await visit(browser, world.url, { javaScript })
    await signIn(page, 'alice', PASSWORD)
    if (javaScript) {
      await context.grantPermissions(['clipboard-read', 'clipboard-write'])
      await inspectPage(t, page, 'repositories-none')
      for (const path of ['alice/sample', 'team/app', 'team/documentation/handbook-of-the-whole-company'])
        await world.seedRepository(path)
      await world.grant('@all', 'read', 'team/**')
      await page.reload()
      await inspectPage(t, page, 'repositories')
      await page.getByRole('button', { name: 'Copy clone command for team/app' }).click()
      t.equal(await page.evaluate('navigator.clipboard.readText()'), `git clone ${world.url}/team/app.git`)
      t.ok(await page.getByRole('button', { name: 'Copied' }).isVisible())
    } else {
      t.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0, 'nothing that would not work')
    }
    await page.getByRole('searchbox', { name: 'Search repositories' }).fill('handbook')
    await page.getByRole('button', { name: 'Search' }).click()
    t.equal(await page.locator('tbody tr').count(), 1)
    t.match(await page.locator('tbody').textContent(), 'git clone')
    await page.getByRole('searchbox').fill('nowhere')
    await page.getByRole('searchbox').press('Enter')
    if (javaScript) await inspectPage(t, page, 'repositories-not-found')
    await page.getByRole('link', { name: 'Show all' }).click()
    t.equal(await page.locator('tbody tr').count(), 3)
    t.same(mistakes, [])
  }
})

t.test('before another server', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t, {}, nodeGitServer)
  await world.setPassword('alice', PASSWORD)
  const { page, mistakes } = await visit(await startBrowser(), world.url)
  await signIn(page, 'alice', PASSWORD)
  await inspectPage(t, page, 'patterns-none')
  await world.grant('alice', 'write', 'team/**')
  await world.grant('@all', 'read', 'docs/*/public')
  await page.reload()
  await inspectPage(t, page, 'patterns')
  t.match(await page.locator('tbody').textContent(), 'git clone')
  t.same(mistakes, [])
})
