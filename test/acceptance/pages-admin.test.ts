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

type AdminSession = {
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
function asAdministrator(
  name: string,
  run: (t: Test, session: AdminSession) => Promise<void>,
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

asAdministrator('accounts', async (t, { world, page, inspect, said, click }) => {
  await page.goto('/-/admin/users')
  await inspect('accounts')
  await page.getByRole('link', { name: 'New account' }).click()
  await inspect('new-account')
  await page.getByLabel('Username').fill('api')
  await page.getByLabel('Your password').fill(PASSWORD)
  await click('Create account')
  t.match(await page.textContent('main'), 'is reserved for gitgate')
  await inspect('new-account-wrong')
  await page.getByLabel('Username').fill('bob')
  await page.getByLabel('Name', { exact: true }).fill('Bob the builder')
  await page.getByLabel('Your password').fill(PASSWORD)
  await click('Create account')
  t.match(await said(), 'Account bob was created.')
  await inspect('account')

  await page.getByRole('link', { name: 'Edit' }).click()
  await inspect('edit-account')
  await page.getByLabel('Email address').fill('bob@example.com')
  await page.getByLabel('Your password').fill(PASSWORD)
  await click('Save')
  t.match(await said(), 'Account bob was changed.')

  await page.getByRole('link', { name: 'Set password' }).click()
  await inspect('set-password')
  await page.getByLabel('New password').fill('another horse battery')
  await page.getByLabel('Your password').fill(PASSWORD)
  await click('Set password')
  t.match(await said(), 'The password of bob was set')

  await page.getByRole('link', { name: 'Block' }).click()
  await inspect('block')
  await click('Block account')
  t.match(await said(), 'bob was blocked.')
  await page.getByRole('link', { name: 'Unblock' }).click()
  await click('Unblock account')
  t.match(await said(), 'bob was unblocked.')
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByLabel('Type bob to confirm').fill('bobby')
  await click('Delete account')
  await inspect('delete-wrong')
  await page.getByLabel('Type bob to confirm').fill('bob')
  await click('Delete account')
  t.match(await said(), 'bob was deleted.')
  t.equal(await world.store.accounts.findByUsername('bob'), undefined)

  await page.getByLabel('Search').fill('nobody')
  await click('Filter')
  await inspect('accounts-none')
  await page.getByRole('link', { name: 'Show all' }).click()
  await page.getByRole('link', { name: 'root' }).click()
  await inspect('own-account')
})

asAdministrator('grants, protected refs, and what comes of them', async (t, { world, page, inspect, said, click }) => {
  await page.goto('/-/admin/grants')
  await inspect('grants-none')
  await page.getByLabel('User', { exact: true }).fill('@anonymous')
  await page.getByLabel('Role').selectOption('write')
  await page.getByLabel('Repositories').fill('team/**')
  await click('Grant')
  t.match(await page.getByRole('alert').textContent(), '@anonymous can only read')
  await inspect('grants-wrong')
  await page.getByLabel('User', { exact: true }).fill('alice')
  await click('Grant')
  t.match(await said(), 'Granted alice write access to team/**.')
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
  await page.getByLabel('User', { exact: true }).fill('alice')
  await page.getByLabel('Repository').fill('team/app')
  await page.getByLabel('Ref (optional)').fill('main')
  await click('Explain')
  t.match(await said(), 'alice can clone, fetch and push')
  await inspect('explained')
  await page.getByLabel('User', { exact: true }).fill('nobody')
  await click('Explain')
  await inspect('explain-wrong')

  await page.goto('/-/admin/grants')
  await page.getByRole('link', { name: 'Revoke the grant of alice on team/**' }).click()
  await inspect('confirm')
  await click('Revoke grant')
  t.match(await said(), 'Revoked the grant of alice on team/**.')
  await page.goto('/-/admin/protected_refs')
  await page.getByRole('link', { name: /^Remove/ }).click()
  await click('Remove protection')
  t.match(await said(), 'Removed the protection of refs/heads/main in team/**.')
})

asAdministrator('settings, with a look at whom a change concerns', async (t, { world, page, inspect, said, click }) => {
  await world.issue('alice', ['api'], { name: 'nightly builds' })
  await world.issue('mallory', ['api'], { name: 'old laptop' })
  await page.goto('/-/admin/application_settings')
  await inspect('settings')
  await page.getByLabel('max_personal_access_token_lifetime').fill('many')
  await click('Review changes')
  t.match(await page.textContent('main'), 'Enter a whole number from 1 to 36500')
  await inspect('settings-wrong')
  await page.getByLabel('max_personal_access_token_lifetime').fill('90')
  await page.getByLabel('require_two_factor_authentication').selectOption('on')
  await page.getByLabel('two_factor_grace_period').fill('14')
  await click('Review changes')
  t.match(await page.textContent('main'), '2 tokens exceed the maximum lifetime')
  await inspect('settings-review')
  t.equal((await world.store.settings.list()).size, 0)
  await click('Apply changes')
  t.match(await said(), 'Maximum token lifetime (days) is now 90')
})

asAdministrator('the audit log', async (t, { world, page, inspect, said, click }) => {
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
  await click('Verify')
  t.match(await said(), 'events are intact')
})

asAdministrator(
  "everybody's tokens, impersonation tokens, and the overview",
  async (t, session) => {
    const { world, page, javaScript, inspect, said, click } = session
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
    await page.getByLabel('Limit to repositories').fill('team/*')
    if (!javaScript) await click('Preview')
    await page.getByText('2 of alice’s 3 repositories').waitFor()
    await page.getByLabel('Your password').fill('not it')
    await click('Create token')
    t.match(await page.textContent('main'), 'Wrong password.')
    await inspect('impersonation-wrong')
    t.ok(await page.getByLabel('write_repository').isChecked(), 'what was chosen stays')
    await page.getByLabel('Your password').fill(PASSWORD)
    await click('Create token')
    t.match(
      await page.textContent('.one-time'),
      /Impersonation token support case 4711 for alice created.*ggpat-\w{36}.*git clone/s,
    )
    await inspect('impersonation-made')
    await page.getByRole('link', { name: 'Revoke support case 4711' }).click()
    await inspect('impersonation-revoke')
    await click('Revoke token')
    t.match(await said(), 'was revoked.')

    await world.issue('alice', ['api', 'write_repository'], {
      name: 'laptop',
      description: 'The old one, under the session',
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
    await page.getByLabel('Show').selectOption('expiring')
    await click('Filter')
    t.match(await page.locator('tbody').textContent(), 'ci-linux')
    await page.getByRole('link', { name: 'Revoke ci-linux of alice' }).click()
    await inspect('revoke')
    await click('Revoke token')
    t.match(await said(), 'was revoked.')
    await page.goto('/-/admin/credentials?search=nothing')
    await inspect('tokens-none')
  },
  BOTH,
)
