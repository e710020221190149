import { generateSync } from 'otplib'
import { raw } from '../acceptance/http-client.js'
import { FormClient } from '../pages/form-client.js'
import type { Day } from './day.js'
import { jobsDone } from './day.js'
import { until } from '../acceptance/until.js'

const PASSWORD = 'correct horse battery'
const NEW_PASSWORD = 'staple battery horse'
const SETTINGS = '/-/user_settings'
const TOKENS = `${SETTINGS}/personal_access_tokens`
const TWO_FACTOR = `${SETTINGS}/two_factor_auth`
const SECOND_FACTOR = '/users/sign_in/two_factor'

/** Weeks before the day. */
export async function beginning(day: Day): Promise<void> {
  await day.play('2026-01-20T09:00:00.000Z', 'the first commands', async () => {
    await day.cli('settings set audit_retention 30')
    await day.createToken('root', 'automation', '--scopes api,sudo --expires-in 300d')
    await day.createToken('alice', 'old', '--scopes read_repository --expires-at 2026-03-01')
  })
}

/** What the gate does at night, and what an administrator sets up in the morning. */
export async function morning(day: Day): Promise<void> {
  const { world } = day
  await day.at('03:01', 'the jobs of the night', async () => {
    await jobsDone(world)
    await until(() => world.log.includes('"dropped":'))
  })
  // Nothing happened for weeks, so that the audit log doesn't confirm the time.
  await day.at('08:59', 'old audit events are deleted by force', () => day.cli('audit prune --force'))
  await day.at('09:00', 'commands about accounts', async () => {
    for (const name of ['alice', 'root']) {
      await day.cli(`user passwd ${name}`, PASSWORD)
      day.signIns.set(name, { password: PASSWORD })
    }
    await day.cli('user add bob --email bob@example.com --password-stdin', PASSWORD)
    await day.cli('user edit bob --name Bob --email bob@example.org')
    await day.cli('user add dave')
    await day.cli('user notifications alice --off new-address')
    const enabled = await day.cli('user 2fa enable root --json')
    const { secret, recovery_codes: recoveryCodes } = JSON.parse(enabled) as {
      secret: string
      recovery_codes: string[]
    }
    day.signIns.set('root', { password: PASSWORD, seed: secret, recoveryCodes })
  })
  await day.at('09:01', 'commands about repositories', async () => {
    await day.cli('repo create team/app')
    await day.cli('access grant alice write team/**')
    await day.cli('access grant @all read docs/**')
    await day.cli('access grant bob admin other/**')
    await day.cli('protect add team/app release')
    await day.cli('protect add team/app fixed --push nobody')
  })
  await day.at('09:02', 'commands about tokens', async () => {
    const write = '--scopes write_repository --expires-in 90d'
    await day.createToken('alice', 'laptop', write)
    await day.createToken('alice', 'reader', '--scopes read_repository --expires-in 90d')
    await day.createToken('alice', 'profile', '--scopes read_user --expires-in 90d')
    const limits = '--repo team/app --ref agent/* --max-pushes 2 --max-push-bytes 9M'
    await day.createToken('alice', 'agent', `${write} ${limits}`)
    await day.createToken('alice', 'docs', '--scopes read_repository --repo docs/* --expires-in 90d')
    await day.createToken('alice', 'calls', '--scopes api --expires-in 90d')
    for (const name of ['lost', 'stolen', 'taken']) await day.createToken('alice', name, write)
    await day.createToken('alice', 'forever', '--scopes read_repository --expires-in never')
    await day.createToken('mallory', 'guest', '--scopes read_repository --expires-in 90d')
  })
  await day.at('09:03', 'commands about webhooks', async () => {
    day.webhookSecret = await day.cli('webhook add https://bot.example.com/bob --user bob')
    await day.cli('webhook add https://bot.example.com/dave --user dave')
  })
}

/** The API, by an administrator and by alice. */
export async function apiCalls(day: Day): Promise<void> {
  const root = (method: string, path: string, body?: object, headers?: Record<string, string>) =>
    day.api('automation', method, path, body, headers)
  const keep = (name: string, { id, token }: { id: number; token: string }) =>
    day.tokens.set(name, { id, secret: token })
  const wish = { scopes: ['read_repository'], expires_at: '2026-05-01' }

  await day.at('11:00', 'the API: an account and its token', async () => {
    const { id } = await root('POST', '/users', { username: 'carol', password: PASSWORD })
    day.signIns.set('carol', { password: PASSWORD })
    keep('carol', await root('POST', `/users/${id}/personal_access_tokens`, { ...wish, name: 'carol' }))
    await root('POST', `/users/${id}/block`)
    await root('POST', `/users/${id}/unblock`)
  })
  await day.at('11:01', 'the API: an impersonation token, and its use', async () => {
    const { id } = await day.world.account('alice')
    keep('helper', await root('POST', `/users/${id}/impersonation_tokens`, { ...wish, name: 'helper' }))
    await day.advertisement('team/app', { user: 'alice', password: day.token('helper').secret })
  })
  await day.at('11:03', 'the API: rotations', async () => {
    const reader = `/personal_access_tokens/${day.token('reader').id}/rotate`
    keep('reader rotated', await root('POST', reader, { grace: '24h', expires_at: '2026-05-01' }))
    keep('profile rotated', await root('POST', `/personal_access_tokens/${day.token('profile').id}/rotate`, {}))
  })
  await day.at('11:04', 'the API: a derived token', async () => {
    const narrow = { name: 'derived', ...wish, repositories: ['team/app'] }
    keep('derived', await day.api('calls', 'POST', '/user/personal_access_tokens', narrow))
  })
  await day.at('11:05', 'the API: sudo', async () => {
    await root('GET', '/user', undefined, { Sudo: 'alice' })
    await root('DELETE', `/personal_access_tokens/${day.token('profile rotated').id}`, undefined, { Sudo: 'alice' })
  })
  await day.at('11:06', 'the API: rights', async () => {
    await root('POST', '/gitgate/grants', { subject: 'carol', role: 'read', pattern: 'team/*' })
    await root('POST', '/gitgate/grants', { subject: 'carol', role: 'write', pattern: 'team/*' })
    await root('POST', '/gitgate/protected_refs', { repositories: '**', refs: 'refs/tags/v*' })
    await root('DELETE', '/gitgate/protected_refs?repositories=**&refs=refs/tags/v*')
  })
  await day.at('11:07', 'the API: settings', () =>
    root('PUT', '/application/settings', { session_expire_delay: 600, git_basic_auth_maxretry: 10 }),
  )
  await day.at('11:08', 'the API: refusals', async () => {
    await day.world.http('/api/v4/user')
    await day.api('lost', 'GET', '/user')
    await day.api('reader', 'GET', '/personal_access_tokens')
    await day.api('calls', 'GET', '/application/settings')
    await day.api('calls', 'GET', '/projects/99')
  })
  await day.at('11:09', 'the API: GraphQL', async () => {
    const headers = { 'PRIVATE-TOKEN': day.token('calls').secret, 'Content-Type': 'application/json' }
    const body = JSON.stringify({ query: '{ currentUser { username } }' })
    await day.world.http('/api/graphql', { method: 'POST', headers, body })
  })
}

/** Alice and root at their browsers. */
export async function pages(day: Day): Promise<void> {
  const { world } = day
  const [alice, root] = [new FormClient(world.url), new FormClient(world.url)]
  const code = (seed: string): string => generateSync({ secret: seed, epoch: Math.floor(world.now.getTime() / 1_000) })
  let seed = ''
  let codes: string[] = []
  const readCodes = async (): Promise<void> => {
    const { body } = await alice.get(`${TWO_FACTOR}/recovery_codes`)
    codes = [...body.matchAll(/<li><code>([^<]+)</g)].map(([, found = '']) => found)
  }

  await day.at('12:00', 'alice mistypes her password', () => alice.signIn('alice', 'wrong'))
  await day.at('12:01', 'alice signs in', () => alice.signIn('alice', PASSWORD))
  await day.at('12:02', 'alice creates a token', async () => {
    const fields = { name: 'by-page', scopes: 'read_repository', expiry: '30d' }
    await alice.submit(TOKENS, fields, `${TOKENS}/new`)
    await alice.get(TOKENS)
  })
  await day.at('12:03', 'alice changes her password', async () => {
    const change = { current_password: PASSWORD, password: NEW_PASSWORD, password_confirmation: NEW_PASSWORD }
    await alice.submit(`${SETTINGS}/password`, change)
  })
  await day.at('12:04', 'alice turns two-factor authentication on', async () => {
    const { body } = await alice.get(TWO_FACTOR)
    seed = (/id="seed">([^<]+)</.exec(body)?.[1] ?? '').replaceAll(' ', '')
    await alice.submit(TWO_FACTOR, { current_password: NEW_PASSWORD, code: code(seed) })
    await readCodes()
  })
  await day.at('12:05', 'alice signs out', () => alice.submit('/users/sign_out', {}, '/'))
  await day.at('12:06', 'alice mistypes a code', async () => {
    await alice.signIn('alice', NEW_PASSWORD)
    await alice.submit(SECOND_FACTOR, { code: '000000' })
  })
  await day.at('12:07', 'alice signs in with a code', async () => {
    await alice.submit(SECOND_FACTOR, { code: code(seed) })
    await alice.submit('/users/sign_out', {}, '/')
  })
  await day.at('12:08', 'alice signs in with a recovery code', async () => {
    await alice.signIn('alice', NEW_PASSWORD)
    await alice.submit(SECOND_FACTOR, { code: codes[0] ?? '' })
  })
  await day.at('12:09', 'alice replaces her recovery codes', () =>
    alice.submit(`${TWO_FACTOR}/recovery_codes`, { current_password: NEW_PASSWORD }, TWO_FACTOR),
  )
  await day.at('12:10', 'alice turns two-factor authentication off', () =>
    alice.submit(`${TWO_FACTOR}/disable`, { current_password: NEW_PASSWORD }, TWO_FACTOR),
  )
  day.signIns.set('alice', { password: NEW_PASSWORD, cookies: Object.fromEntries(alice.cookies) })
  await day.at('12:11', 'root signs in and looks around', async () => {
    await root.signIn('root', PASSWORD)
    await root.submit(SECOND_FACTOR, { code: code(day.signIns.get('root')!.seed!) })
    for (const path of ['/', '/-/admin', '/-/admin/users', '/-/admin/audit_logs', '/-/admin/nothing'])
      await root.get(path)
    day.signIns.set('root', { ...day.signIns.get('root')!, cookies: Object.fromEntries(root.cookies) })
  })
}

/** A limit that ends a token, commands that clean up, and requests for nothing that there is. */
export async function evening(day: Day): Promise<void> {
  const { world } = day
  await day.at('13:10', 'a limit on the lifetime of tokens', () =>
    day.cli('settings set max_personal_access_token_lifetime 365'),
  )
  await day.at('16:11', 'the limit ends a token', () =>
    until(async () => {
      const token = await world.store.tokens.find(day.token('forever').id)
      return token?.revokedAt?.getTime() === world.now.getTime()
    }),
  )
  await day.at('17:00', 'commands that clean up', async () => {
    await day.cli('settings set max_personal_access_token_lifetime null')
    await day.createToken('alice', 'endless', '--scopes read_repository --expires-in never')
    await day.cli('repo rename alice/new alice/renamed')
    await day.cli('repo delete alice/renamed --yes')
    await day.cli('access revoke bob other/**')
    await day.cli('protect remove team/app fixed')
    await day.cli('webhook remove 2')
    await day.cli('user delete dave --yes')
    await day.cli('audit repair')
  })
  await day.at('17:01', 'requests for other things', async () => {
    await world.http('/-/readiness')
    await world.http('/nothing')
    await world.http('/users/sign_in', { method: 'PUT' })
    await raw(world.url, 'nonsense\r\n\r\n')
  })
}
