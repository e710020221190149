import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { OPTIONS } from '../src/config/options.js'
import { formatSetting, resolveSettings, SETTING_KEYS } from '../src/domain/policies/settings.js'
import { callsWith } from './acceptance/api/calls.js'
import { GitgateCli } from './acceptance/gitgate-cli.js'
import { createWorld } from './acceptance/world.js'
import { nodeGitServer } from './backends/node-git-server.js'
import { gitolite } from './backends/gitolite.js'

// The documentation is complete and true: it lists everything, and names what exists.

const root = join(import.meta.dirname, '..', '..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

t.test('docs/configuration.md has every variable with its default', async (t) => {
  const page = read('docs/configuration.md')
  for (const { variable, fallback } of Object.values(OPTIONS)) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${variable}\` |`))
    t.ok(row, variable)
    if (fallback !== undefined && fallback !== '') t.match(row, `\`${fallback}\``, `${variable} is ${fallback}`)
  }
})

t.test('docs/cli.md has every setting with its default', async (t) => {
  const page = read('docs/cli.md')
  const defaults = resolveSettings(new Map())
  for (const key of SETTING_KEYS) t.match(page, `| \`${key}\` | \`${formatSetting(defaults[key])}\` |`, key)
})

t.test('docs/cli.md has every command', async (t) => {
  const page = read('docs/cli.md')
  const cli = new GitgateCli(t.testdir())
  const commandsOf = async (...group: string[]) => {
    const help = await cli.ask([...group, '--help'])
    const list = /\nCommands:\n(.*?)(\n\n|$)/s.exec(help)?.[1] ?? ''
    return [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help')
  }
  const groups = ['user', 'token', 'access', 'protect', 'repo', 'settings', 'audit', 'cache', 'jobs', 'webhook']
  for (const name of await commandsOf()) if (!groups.includes(name)) t.match(page, `\`${name}`, name)
  for (const group of groups) {
    for (const name of await commandsOf(group)) t.match(page, `\`${group} ${name}`, `${group} ${name}`)
  }
})

t.test('docs/api.md has every call of the REST API, and no other', async (t) => {
  const world = await createWorld(t)
  const answer = await callsWith(world, await world.token('alice', 'api'))('GET', '/openapi.json')
  const { paths } = answer.body as { paths: Readonly<Record<string, object>> }
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace('/api/v4', '')}`),
  )
  const named = [...read('docs/api.md').matchAll(/^# ([A-Z]+ \/[^\s:]+)/gm)].map(([, call]) => call)
  t.same(named.sort(), calls.sort())
})

t.test('pages for developers and auditors name files that exist', async (t) => {
  for (const page of ['docs/architecture.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/threat-model.md']) {
    const paths = [...read(page).matchAll(/`((?:src|test|bench|bin)\/[\w./-]+|[\w-]+\/[\w./-]+\.[jt]s)`/g)]
    t.ok(paths.length > 1, page)
    for (const [, path = ''] of paths)
      t.ok(existsSync(join(root, path)) || existsSync(join(root, 'src', path)), `${page}: ${path}`)
  }
})

t.test('docs/threat-model.md says of each attack which test shows its defence', async (t) => {
  const defences = /\n## What stops them\n(.*?)\n## /s.exec(read('docs/threat-model.md'))?.[1] ?? ''
  const attacks = defences.split('\n').filter((line) => /^\| (?!attack |---)/.test(line))
  t.ok(attacks.length > 40, `${attacks.length} attacks`)
  for (const row of attacks) t.match(row, /\| (no test|`test\/[^|]+`) \|$/, row.slice(0, 60))
})

t.test('links between the pages lead to files and headings that exist', async (t) => {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  const pages = docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
  for (const page of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...pages]) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      const [path = '', heading] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      const isThere = existsSync(join(root, file))
      t.ok(isThere, `${page}: ${target}`)
      if (isThere && heading !== undefined) t.ok(headingsOf(read(file)).includes(heading), `${page}: ${target}`)
    }
  }
})

t.test('README.md has 200 lines at most, of 100 columns', async (t) => {
  const lines = read('README.md').trimEnd().split('\n')
  t.ok(lines.length <= 200, `${lines.length} lines`)
  t.strictSame(
    lines.filter((line) => line.length > 100),
    [],
  )
})

t.test('docs/backends.md names what each server can not do', async (t) => {
  const page = read('docs/backends.md')
  for (const { name, cannot } of [nodeGitServer, gitolite]) {
    for (const [test, reason] of Object.entries(cannot)) t.match(page, `**${name}**, ${test}: ${reason}.`)
  }
})

/** The anchors of a page's headings, as GitHub makes them. */
function headingsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}
