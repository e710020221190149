// The administration, as administrators at a browser meet it; without JavaScript where a page has a script of its own.
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const PASSWORD = 'correct horse battery'
const WITH_JAVA_SCRIPT = [true]
const BOTH = [true, false]

type Desk = {
  readonly world: World
  readonly page: Page
  readonly javaScript: boolean
  /** Looks at the page as it is, once. */
  readonly inspect: (name: string) => Promise<void>
  /** What the page says was done. */
  readonly said: () => Promise<string | null>
  readonly click: (button: string) => Promise<void>
}

/** Runs a test as the administrator at a browser; pages with a script of their own without JavaScript as well. */
function atTheDesk(
  name: string,
  run: (t: Test, desk: Desk) => Promise<void>,
  modes: readonly boolean[] = WITH_JAVA_SCRIPT,
): void {
  for (const javaScript of modes) {
    const how = javaScript ? 'with JavaScript' : 'without JavaScript'
    t.test(`${name}, ${how}`, { skip: NO_BROWSER }, async (t) => {
      const world = await createWorld(t)
      await world.setPassword('root', PASSWORD)
      const { page, mistakes } = await visit(await startBrowser(), world.url, { javaScript })
      await signIn(page, 'root', PASSWORD)
      await run(t, {
        world,
        page,
        javaScript,
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

  await page.getByRole('link', { name: 'Edit' }).click()
  await inspect('edit-account')
  await page.getByLabel('E-mail address').fill('bob@example.com')
  await page.getByLabel('Your own password').fill(PASSWORD)
  await click('Save the account')
  t.match(await said(), 'The account bob is changed.')

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

atTheDesk('settings, with a look at whom a change concerns', async (t, { world, page, inspect, said, click }) => {
  await world.issue('alice', ['api'], { name: 'nightly builds' })
  await world.issue('mallory', ['api'], { name: 'old laptop' })
  await page.goto('/-/admin/application_settings')
  await inspect('settings')
  await page.getByLabel('max_personal_access_token_lifetime').fill('many')
  await click('Review the change')
  t.match(await page.textContent('main'), 'It takes a whole number from 1 to 36500')
  await inspect('settings-wrong')
  await page.getByLabel('max_personal_access_token_lifetime').fill('90')
  await page.getByLabel('require_two_factor_authentication').selectOption('on')
  await page.getByLabel('two_factor_grace_period').fill('14')
  await click('Review the change')
  t.match(await page.textContent('main'), '2 tokens live longer than that')
  await inspect('settings-review')
  t.equal((await world.store.settings.list()).size, 0)
  await click('Change it')
  t.match(await said(), 'max_personal_access_token_lifetime is 90 now')
})

atTheDesk('the audit trail', async (t, { world, page, inspect, said, click }) => {
  await world.issue('alice', ['api'], { name: 'nightly builds' })
  await world.grant('alice', 'write', 'team/**')
  await page.goto('/-/admin/audit_logs')
  await inspect('audit')
  await page.getByLabel('User').fill('alice')
  await page.getByLabel('Action').selectOption('token.created')
  await click('Filter')
  t.equal(await page.locator('tbody tr').count(), 1)
  await page.locator('tbody a').click()
  t.match(await page.textContent('main'), 'nightly builds')
  await inspect('audit-row')
  await page.goto('/-/admin/audit_logs?since=soon')
  await inspect('audit-wrong')
  await page.goto('/-/admin/audit_logs?user=nobody')
  await inspect('audit-none')
  await click('Verify the trail')
  t.match(await said(), 'rows are as they were written')
})

atTheDesk(
  "everybody's tokens, impersonation tokens, and the overview",
  async (t, desk) => {
    const { world, page, javaScript, inspect, said, click } = desk
    const inDays = (days: number) => new Date(world.now.getTime() + days * DAY)
    await page.goto('/')
    await page.getByRole('link', { name: 'Administration' }).click()
    t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Administration')
    await inspect('overview-none')
    await page.goto('/-/admin/users/alice')
    await page.getByRole('link', { name: 'Impersonation tokens' }).click()
    await inspect('impersonation-none')
    for (const name of ['alice/notes', 'team/app', 'team/web']) await world.createRepository(name)
    await world.grant('alice', 'write', 'team/*')
    await page.getByRole('link', { name: 'New token' }).click()
    await page.getByLabel('Name', { exact: true }).fill('support case 4711')
    await page.getByLabel('60 days').check({ force: true })
    await page.getByLabel('write_repository').check()
    await page.getByLabel('Only these repositories').fill('team/*')
    if (!javaScript) await click('Preview')
    await page.getByText('2 repositories of the 3 that alice reaches now').waitFor()
    await page.getByLabel('Your own password').fill('not it')
    await click('Create token')
    t.match(await page.textContent('main'), 'This is not your password.')
    await inspect('impersonation-wrong')
    t.ok(await page.getByLabel('write_repository').isChecked(), 'what was chosen stays')
    await page.getByLabel('Your own password').fill(PASSWORD)
    await click('Create token')
    t.match(
      await page.textContent('.reveal'),
      /support case 4711.* is ready, to act as alice.*ggpat-\w{36}.*git clone/s,
    )
    await inspect('impersonation-made')
    await page.getByRole('link', { name: 'Revoke support case 4711' }).click()
    await inspect('impersonation-revoke')
    await click('Revoke the token')
    t.match(await said(), 'is revoked.')

    await world.issue('alice', ['api', 'write_repository'], {
      name: 'laptop',
      description: 'The old one, under the desk',
    })
    await world.issue('alice', ['read_repository'], { name: 'ci-linux', expiry: inDays(5) })
    await world.issue('mallory', ['write_repository'], {
      name: 'agent',
      expiry: inDays(200),
      restrictions: parseRestrictions(['team/app'], ['agent/*']),
    })
    for (const name of ['a', 'b', 'c', 'd']) await world.createRepository(`alice/${name}`)
    await world.store.tokens.recordUses([{ tokenId: 2, at: world.now, ip: '10.0.3.17' }], (_ips, ip) => [ip])
    world.advance(2 * DAY)
    await signIn(page, 'root', PASSWORD)
    await page.goto('/-/admin')
    await inspect('overview')
    await page.getByRole('link', { name: 'active tokens' }).click()
    t.equal(await page.locator('tbody tr:not(.advice)').count(), 3)
    await inspect('tokens')
    await page.getByLabel('Only').selectOption('expiring')
    await click('Filter')
    t.match(await page.locator('tbody').textContent(), 'ci-linux')
    await page.getByRole('link', { name: 'Revoke ci-linux of alice' }).click()
    await inspect('revoke')
    await click('Revoke the token')
    t.match(await said(), 'is revoked.')
    await page.goto('/-/admin/credentials?search=nothing')
    await inspect('tokens-none')
  },
  BOTH,
)
