import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import SQLite from 'better-sqlite3'
import { generateSync } from 'otplib'
import type { Test } from 'tap'
import { cacheFolders } from '../acceptance/cache-world.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'
import type { Day, DayToken, SignIn } from './day.js'
import { until } from '../acceptance/until.js'

const DATABASE = 'gitgate.sqlite3'
// No process has this ID: Linux has 4,194,304 at most.
const DEAD_PID = '4194305'
// Nothing reads the files of a dead gate, so a part of each will do.
const LEFTOVER_BYTES = 4_096
const SESSIONS = '/-/user_settings/active_sessions'

/** What is known about a data folder: `about.json` beside its files. */
export type About = {
  /** The gate's time when the folder was made. */
  readonly now: string
  readonly signIns: Readonly<Record<string, SignIn>>
  readonly tokens: Readonly<Record<string, DayToken>>
  readonly webhookSecret: string
  /** What the version that made it reported of it. */
  readonly report: Report
}

/** What commands and a gate report of a data folder. */
type Report = {
  readonly commands: Readonly<Record<string, unknown>>
  readonly jobs: readonly object[]
  readonly audit: {
    readonly verification: { readonly flaw: object | null }
    readonly events: number
    readonly actions: readonly string[]
  }
  /** The status of each advertisement, by the name of the token. */
  readonly access: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const COMMANDS = [
  'user list',
  'user 2fa status root',
  'user notifications alice',
  'token list',
  'access list',
  'protect list',
  'webhook list',
  'settings list',
  'audit head',
]

/** Names of commands in `about.json` where they were renamed since. */
const RECORDED_NAMES: Readonly<Record<string, string>> = { 'user notifications alice': 'user notices alice' }

/** Writes what a gate would leave that was killed now, and what is known about it. */
export async function exportDay(t: Test, day: Day, folder: string): Promise<void> {
  const { world, tokens, signIns } = day
  const [data, files] = [join(world.folder, 'data'), join(folder, 'files')]
  mkdirSync(files, { recursive: true })
  // These would name this machine.
  await world.store.facts.writeBackend({ root: '/srv/git' })
  await world.store.facts.writeBaseUrl('https://git.example.com')
  world.store.backup(join(files, DATABASE))
  const database = new SQLite(join(files, DATABASE))
  // Removes what was deleted from the file.
  database.exec('VACUUM')
  database.close()
  for (const name of ['key', 'audit-mark']) cpSync(join(data, name), join(files, name))
  const [cache = ''] = cacheFolders(data)
  await until(() => readdirSync(cache).includes('report.json'))
  cpSync(cache, join(files, 'cache', DEAD_PID), { recursive: true })
  const leftovers = readdirSync(join(files, 'cache', DEAD_PID)).filter((name) => /^\d+$/.test(name))
  for (const name of leftovers) truncateSync(join(files, 'cache', DEAD_PID, name), LEFTOVER_BYTES)
  if (leftovers.length === 0) throw new Error('the cache holds no file')
  const known = {
    now: world.now.toISOString(),
    signIns: Object.fromEntries(signIns),
    tokens: Object.fromEntries(tokens),
    webhookSecret: day.webhookSecret,
  }
  const copy = copyOf(t, folder)
  const report = {
    ...(await reportOfCommands(copy, known.now)),
    access: await reportOfAccess(await gateOn(t, copy, known.now), known.tokens),
  }
  writeFileSync(join(folder, 'about.json'), `${JSON.stringify({ ...known, report }, undefined, 2)}\n`)
}

/** Checks that today's code reads a data folder as the version that made it did, and works with it. */
export async function checkFolder(t: Test, folder: string): Promise<void> {
  const { now, signIns, tokens, webhookSecret, report } = JSON.parse(
    readFileSync(join(folder, 'about.json'), 'utf8'),
  ) as About
  const data = copyOf(t, folder)
  const { access, ...before } = report
  t.hasStrict(await reportOfCommands(data, now), before, 'commands report the same')

  const file = join(temporaryFolder(t), DATABASE)
  t.equal((await run(data, now, `backup ${file}`)).status, 0, 'a backup is made')
  const restored = copyOf(t, folder)
  cpSync(file, join(restored, DATABASE))
  t.strictSame((await reportOfCommands(restored, now)).audit, report.audit, 'and restored')
  rmSync(join(restored, 'audit-mark'))
  await run(restored, now, 'user edit alice --name Alice')
  const { stdout } = await run(restored, now, 'audit verify --json')
  const { flaw } = report.audit.verification
  t.match(
    JSON.parse(stdout),
    { ok: false, flaw: flaw ?? { kind: 'checkpoint-missing' } },
    'a lost audit mark is reported',
  )

  const world = await gateOn(t, data, now)
  t.equal(cacheFolders(data).length, 1, 'the cache of the dead gate is gone')
  t.notOk(existsSync(join(data, 'cache', DEAD_PID)))
  t.strictSame(await reportOfAccess(world, tokens), access, 'each token has the same access')
  const secret = tokens['reader rotated']?.secret ?? ''
  const clone = await world.git.clone(world.remote('team/app', secret), 'app', '-q')
  t.ok(existsSync(join(clone, 'README.md')), 'a token clones')
  t.equal((await world.store.webhooks.find(1))?.secret.reveal(), webhookSecret, 'secrets are decrypted')
  for (const [username, signIn] of Object.entries(signIns)) await checkSignIn(t, world, username, signIn)
}

async function checkSignIn(t: Test, world: World, username: string, signIn: SignIn): Promise<void> {
  const { password, seed, recoveryCodes = [], cookies } = signIn
  const isSignedIn = async (client: FormClient) => (await client.get(SESSIONS)).status === 200
  const epoch = Math.floor(world.now.getTime() / 1_000)
  const codes = seed === undefined ? [undefined] : [generateSync({ secret: seed, epoch }), recoveryCodes[0]]
  for (const code of codes) {
    const client = new FormClient(world.url)
    await client.signIn(username, password)
    if (code !== undefined) {
      t.notOk(await isSignedIn(client), `the password of ${username} alone is not enough`)
      await client.submit('/users/sign_in/two_factor', { code })
    }
    t.ok(await isSignedIn(client), `${username} signs in`)
  }
  if (cookies === undefined) return
  const client = new FormClient(world.url)
  for (const [name, value] of Object.entries(cookies)) client.cookies.set(name, value)
  t.ok(await isSignedIn(client), `${username} is still signed in`)
}

/** A copy of a data folder, with the modes that git does not keep. */
function copyOf(t: Test, folder: string): string {
  const data = join(temporaryFolder(t), 'data')
  cpSync(join(folder, 'files'), data, { recursive: true })
  for (const entry of readdirSync(data, { recursive: true, withFileTypes: true }))
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600)
  chmodSync(data, 0o700)
  return data
}

async function run(data: string, now: string, command: string) {
  const cli = new GitgateCli(dirname(data), {}, { clock: () => new Date(now) })
  return await cli.run(['--data', data, ...command.split(' ')])
}

/** What commands report of a data folder. */
async function reportOfCommands(data: string, now: string): Promise<Omit<Report, 'access'>> {
  const json = async (command: string): Promise<unknown> => {
    const { status, stdout, stderr } = await run(data, now, `${command} --json`)
    if (status !== 0) throw new Error(`gitgate ${command} ended with ${status}: ${stderr}`)
    return JSON.parse(stdout) as unknown
  }
  const commands: Record<string, unknown> = {}
  for (const command of COMMANDS) commands[RECORDED_NAMES[command] ?? command] = await json(command)
  const jobs = (await json('jobs list')) as Record<string, unknown>[]
  const events = (await json('audit list --limit 100000')) as { action: string }[]
  return {
    commands,
    // With the names in folders of 0.1.0.
    jobs: jobs.map(({ name, last_run_at, outcome, notifications_waiting }) => ({
      name: String(name).replace('-notification', '-notice'),
      last_run_at,
      outcome,
      notices_waiting: notifications_waiting,
    })),
    audit: {
      // It exits with 1 where there is a flaw, and says which.
      verification: JSON.parse((await run(data, now, 'audit verify --json')).stdout) as Report['audit']['verification'],
      events: events.length,
      actions: [...new Set(events.map(({ action }) => action))].sort(),
    },
  }
}

/** Starts a gate on a data folder, with the repositories that its tokens are for. */
async function gateOn(t: Test, data: string, now: string): Promise<World> {
  const world = await createWorld(t, { data }, undefined, { start: new Date(now) })
  for (const path of ['team/app', 'docs/guide']) await world.seedRepository(path)
  return world
}

/** The status of each advertisement for each token. */
async function reportOfAccess(world: World, tokens: About['tokens']): Promise<Report['access']> {
  const access: Record<string, Record<string, number>> = {}
  for (const [name, { secret: password }] of Object.entries(tokens)) {
    const statuses: Record<string, number> = {}
    for (const path of ['team/app', 'docs/guide', 'alice/missing'])
      for (const service of ['git-upload-pack', 'git-receive-pack'])
        statuses[`${service} ${path}`] = (
          await world.http(`/${path}.git/info/refs?service=${service}`, { password })
        ).status
    access[name] = statuses
  }
  return access
}
