// The gate's own description of its API: complete and true; and the lines of docs/api.md, tried.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Check } from 'typebox/schema'
import { requireProgram } from '../programs.js'
import { createWorld } from '../world.js'
import { callsWith } from './calls.js'

type Described = { readonly description?: string }
type Operation = Described & {
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly parameters?: readonly (Described & { readonly name: string; readonly in: string; readonly schema: object })[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: { properties?: object } }>> }
  readonly responses: Readonly<
    Record<string, Described & { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >
}
type Document = {
  readonly openapi: string
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const page = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', 'docs', 'api.md'), 'utf8')

t.test('every call is described', async (t) => {
  const world = await createWorld(t)
  const answer = await callsWith(world, await world.token('alice', 'read_user'))('GET', '/openapi.json')
  const document = answer.body as Document
  t.equal(document.openapi, '3.1.0')
  const tags = document.tags.map(({ name }) => name)
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { summary, tags: own = [], parameters = [], requestBody, responses }] of Object.entries(
      operations,
    )) {
      const call = `${method.toUpperCase()} ${path}`
      t.match(summary, /\w/, `${call} has a summary`)
      t.ok(own.length === 1 && tags.includes(own[0]!), `${call} has a tag`)
      t.ok(
        Object.keys(responses).some((status) => /^2\d\d$/.test(status)) && '4XX' in responses,
        `${call} has its answers`,
      )
      const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`)
      t.same(inPath, path.match(/\{\w+\}/g) ?? [], `${call} has the parameters of its path`)
      for (const { name, description } of parameters) t.ok(description, `${call} describes ${name}`)
      const body = Object.values(requestBody?.content ?? {})[0]?.schema.properties ?? {}
      for (const [name, schema] of Object.entries(body))
        t.ok(isDescribed(schema as object), `${call} describes ${name}`)
    }
  }
})

t.test('answers are as they are described', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('root/app')
  const root = callsWith(world, await world.token('root', 'api'))
  const { paths } = (await root('GET', '/openapi.json')).body as Document
  const { id } = await world.account('alice')
  const check = async (method: string, path: string, where: string, body?: object) => {
    const answer = await root(method, where, body)
    const response = paths[`/api/v4${path}`]?.[method.toLowerCase()]?.responses[String(answer.status)]
    const schema = response?.content?.['application/json']?.schema
    t.ok(schema !== undefined, `${method} ${path} ${answer.status}`)
    if (schema !== undefined) t.ok(Check(schema, answer.body), `${method} ${path}`)
    return answer.body as { id: number }
  }
  const wish = { name: 'x', scopes: ['api'] }
  const made = await check(
    'POST',
    '/users/{user_id}/personal_access_tokens',
    `/users/${id}/personal_access_tokens`,
    wish,
  )
  await check('POST', '/users/{user_id}/impersonation_tokens', `/users/${id}/impersonation_tokens`, wish)
  await check('GET', '/users/{user_id}/impersonation_tokens', `/users/${id}/impersonation_tokens`)
  await check('GET', '/personal_access_tokens/{id}', `/personal_access_tokens/${made.id}`)
  await check('POST', '/personal_access_tokens/{id}/rotate', `/personal_access_tokens/${made.id}/rotate`)
  await check('POST', '/user/personal_access_tokens', '/user/personal_access_tokens', { scopes: ['read_repository'] })
  await check('POST', '/users', '/users', { username: 'carol' })
  await check('GET', '/users/{id}', `/users/${id}`)
  await check('PUT', '/application/settings', '/application/settings', {})
  const branches = '/projects/root%2Fapp/protected_branches'
  await check('POST', '/projects/{id}/protected_branches', branches, { name: 'main' })
  await check('GET', '/projects/{id}/protected_branches', branches)
  await check('GET', '/projects/{id}', '/projects/root%2Fapp')
  for (const path of ['/user', '/users', '/version', '/metadata', '/personal_access_tokens', '/projects'])
    await check('GET', path, path)
  await check('GET', '/personal_access_tokens/self/associations', '/personal_access_tokens/self/associations')
  t.notOk(Check({ type: 'object', required: ['x'] }, {}), 'the check itself')
})

t.test('every line of docs/api.md works', { skip: requireProgram('curl', 'bash') }, async (t) => {
  const world = await createWorld(t)
  await world.createRepository('team/app')
  await world.grant('root', 'admin', 'team/**')
  const lines = page.split('\n').filter((line) => line.startsWith('curl '))
  t.ok(lines.length > 25)
  for (const line of lines) {
    const { token } = await world.issue('alice', ['api'])
    const impersonation = await world.issue('alice', ['api'], { impersonation: true })
    const env = {
      PATH: process.env['PATH'],
      HOME: world.folder,
      GATE: `${world.url}/api/v4`,
      TOKEN: await world.token('root', 'api', 'sudo'),
      USER_ID: String(token.userId),
      ID: String(token.id),
      IMPERSONATION_ID: String(impersonation.token.id),
    }
    const quiet = 'curl() { command curl --fail-with-body --silent --show-error "$@"; }\n'
    const said = await promisify(execFile)('bash', ['-c', quiet + line], { env }).catch(String)
    t.equal(typeof said, 'object', typeof said === 'object' ? line : said)
  }
})

/** In itself, or in each of its choices. */
function isDescribed(schema: object): boolean {
  return 'description' in schema || 'anyOf' in schema
}
