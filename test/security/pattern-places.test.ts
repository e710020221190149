// Attack: a pattern that is long or has many wildcards, written wherever a user writes one: each comparison with it costs the
// gate time. Lists are searched for a text as it stands, in which nothing is a wildcard: those are no patterns.
import { join } from 'node:path'
import t from 'tap'
import { callsWith } from '../acceptance/api/calls.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import type { World } from '../acceptance/world.js'
import { administration } from '../web/administration.js'
import { TOKENS } from '../web/token-forms.js'

const GRAPHQL =
  'mutation($input: PersonalAccessTokenCreateInput!) { personalAccessTokenCreate(input: $input) { errors } }'

/** Every place where a user writes a pattern. Each function sends one, and returns all that it is answered. */
async function placesOf(world: World, root: Awaited<ReturnType<typeof administration>>['root']) {
  const api = callsWith(world, await world.token('root', 'api'))
  const cli = new GitgateCli(world.folder)
  await world.createRepository('root/app')
  const { id } = await world.account('root')
  const command = async (...args: string[]) => {
    const { stdout, stderr } = await cli.run(['--data', join(world.folder, 'data'), ...args])
    return `${stdout}${stderr}`
  }
  const call = async (method: string, path: string, body?: object) =>
    JSON.stringify((await api(method, path, body)).body)
  const page = async (path: string, fields: Record<string, string>, from = path) =>
    (await root.submit(path, fields, from)).body.replaceAll('&quot;', '"')
  const get = async (path: string) => (await root.get(path)).body.replaceAll('&quot;', '"')
  const token = { name: 'ci', scopes: ['read_repository'] }
  const form = { name: 'ci', scopes: 'read_repository', expiry: '30d' }
  const graphql = async (limits: object) =>
    (
      await world.http('/api/graphql', {
        method: 'POST',
        headers: { Authorization: `Bearer ${await world.token('root', 'api')}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ query: GRAPHQL, variables: { input: { ...token, ...limits } } }),
      })
    ).body
  const levels = { push: 'admin', force: 'nobody', delete: 'nobody' }
  const places: Readonly<Record<string, (pattern: string) => Promise<string>>> = {
    'CLI token create --repo': (it) =>
      command('token', 'create', 'root', '--name', 'ci', '--scopes', 'api', '--repo', it),
    'CLI token create --ref': (it) =>
      command('token', 'create', 'root', '--name', 'ci', '--scopes', 'api', '--ref', it),
    'CLI protect add, repositories': (it) => command('protect', 'add', it, 'main'),
    'CLI protect add, refs': (it) => command('protect', 'add', 'team/app', it),
    'CLI access grant': (it) => command('access', 'grant', 'root', 'read', it),
    'CLI audit list --repo': (it) => command('audit', 'list', '--repo', it),
    'API own token, repositories': (it) =>
      call('POST', '/user/personal_access_tokens', { ...token, repositories: [it] }),
    'API own token, refs': (it) => call('POST', '/user/personal_access_tokens', { ...token, refs: [it] }),
    'API token of a user, repositories': (it) =>
      call('POST', `/users/${id}/personal_access_tokens`, { ...token, repositories: [it] }),
    'API token of a user, refs': (it) => call('POST', `/users/${id}/personal_access_tokens`, { ...token, refs: [it] }),
    'API impersonation token': (it) => call('POST', `/users/${id}/impersonation_tokens`, { ...token, refs: [it] }),
    'API grant': (it) => call('POST', '/gitgate/grants', { subject: '@all', role: 'read', pattern: it }),
    'API protection, repositories': (it) => call('POST', '/gitgate/protected_refs', { repositories: it, refs: 'main' }),
    'API protection, refs': (it) => call('POST', '/gitgate/protected_refs', { repositories: 'a', refs: it }),
    'API protected branch': (it) => call('POST', '/projects/root%2Fapp/protected_branches', { name: it }),
    'API audit filter': (it) => call('GET', `/gitgate/audit_events?repository=${encodeURIComponent(it)}`),
    'GraphQL token, repositories': (it) => graphql({ repositories: [it] }),
    'GraphQL token, refs': (it) => graphql({ refs: [it] }),
    'page of a new token, repositories': (it) => page(TOKENS, { ...form, repositories: it }, `${TOKENS}/new`),
    'page of a new token, refs': (it) => page(TOKENS, { ...form, refs: it }, `${TOKENS}/new`),
    'page of grants': (it) => page('/-/admin/grants', { subject: '@all', role: 'read', pattern: it }),
    'page of protections, repositories': (it) =>
      page('/-/admin/protected_refs', { repositories: it, refs: 'main', ...levels }),
    'page of protections, refs': (it) => page('/-/admin/protected_refs', { repositories: 'a', refs: it, ...levels }),
    'page of the audit log': (it) => get(`/-/admin/audit_logs?repository=${encodeURIComponent(it)}`),
  }
  return places
}

t.test('a pattern has at most 256 bytes and 8 wildcards wherever one is written', async (t) => {
  const { world, root } = await administration(t)
  for (const [place, write] of Object.entries(await placesOf(world, root))) {
    t.match(
      await write(`${'l'.repeat(240)}/${'*'.padEnd(16, 'x')}`),
      /(pattern|repo|repository) .*has 2\d\d bytes; the limit is 256/i,
      place,
    )
    t.match(await write('a*'.repeat(9)), /(pattern|repo|repository) .*has 9 wildcards; the limit is 8/i, place)
    t.notMatch(await write('a*'.repeat(8)), /the limit is/, place)
  }
})
