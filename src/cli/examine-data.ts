import { existsSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/config.js'
import { GitgateError, messageOf } from '../core/errors.js'
import { resolveSettings } from '../domain/policies/settings.js'
import type { CliContext } from './context.js'
import type { Finding } from './finding.js'
import { fine, problem, warning } from './finding.js'
import type { CliStore } from './rooms.js'

const MEBIBYTE = 1_048_576
const LITTLE_SPACE = 512

/** Looks at the data folder: permissions, space, the database. Changes nothing. */
export async function examineData({ rooms }: CliContext, config: Config): Promise<Finding[]> {
  if (!existsSync(config.data))
    return [warning('data', `${config.data} doesn't exist yet`, 'gitgate quickstart, or any other command, creates it')]
  const findings: Finding[] = []
  const { uid, mode } = statSync(config.data)
  const user = process.geteuid?.() ?? uid
  if (uid !== user)
    findings.push(
      problem(
        'data',
        `${config.data} belongs to user ${uid} and you are ${user}`,
        `run gitgate as its owner: sudo -u '#${uid}' gitgate …`,
      ),
    )
  const open = [config.data, join(config.data, 'key'), join(config.data, 'gitgate.sqlite3'), config.keyFile].filter(
    (path) => path !== undefined && existsSync(path) && (statSync(path).mode & 0o077) !== 0,
  )
  if (open.length > 0)
    findings.push(problem('permissions', `other users can access ${open.join(', ')}`, `chmod go= ${open.join(' ')}`))
  else findings.push(fine('permissions', `${config.data} is ${(mode & 0o777).toString(8)}`))

  const { bavail, bsize } = await statfs(config.data)
  const free = Math.floor((bavail * bsize) / MEBIBYTE)
  if (free < LITTLE_SPACE)
    findings.push(
      problem(
        'disk',
        `only ${free} MiB free for ${config.data}`,
        'free space: on a full disk gitgate refuses pushes and changes',
      ),
    )
  else findings.push(fine('disk', `${free} MiB free`))

  try {
    const complaints = rooms.examine.database(config)
    if (complaints.length === 0) findings.push(fine('database', 'sound'))
    else
      findings.push(
        problem('database', `damaged: ${complaints.slice(0, 3).join('; ')}`, 'stop the gate and restore a backup'),
      )
  } catch (error) {
    const isFull = error instanceof GitgateError && error.code === 'disk-full'
    const remedy = isFull ? 'free space on its disk' : 'stop the gate and restore a backup'
    findings.push(problem('database', messageOf(error), remedy))
  }
  return findings
}

/** Looks into the store: accounts, the clock against what was written, bans. */
export async function examineInstance({ rooms, clock }: CliContext, config: Config): Promise<Finding[]> {
  if (!existsSync(config.data)) return []
  let store
  try {
    store = rooms.openStore(config)
  } catch (error) {
    return [problem('store', messageOf(error), 'follow the message and run gitgate doctor again')]
  }
  try {
    const [accounts, tokens] = [await store.accounts.list(), await store.tokens.list({})]
    const newest = Math.max(
      0,
      ...accounts.map(({ createdAt }) => createdAt.getTime()),
      ...tokens.map(({ createdAt }) => createdAt.getTime()),
    )
    const settings = resolveSettings(await store.settings.list())
    return [
      accounts.length === 0
        ? warning('accounts', 'there are no accounts, so nobody can sign in', 'gitgate user add NAME')
        : fine('accounts', `${accounts.length} accounts, ${tokens.length} tokens`),
      newest > clock().getTime()
        ? problem(
            'clock',
            `it shows ${clock().toISOString()}, but something was created at ${new Date(newest).toISOString()}`,
            'set the clock and use NTP: token expiry depends on it',
          )
        : fine('clock', clock().toISOString()),
      settings.git_basic_auth_enabled
        ? fine(
            'bans',
            `after ${settings.git_basic_auth_maxretry} failures within ${settings.git_basic_auth_findtime} s; never ${settings.git_basic_auth_ip_allowlist.join(', ') || 'exempt'}`,
          )
        : warning('bans', 'password guessing is not limited', 'gitgate settings set git_basic_auth_enabled true'),
      ...((await store.isDiskFull())
        ? [
            problem(
              'disk-full',
              `only revocations and blocks are still written to ${config.data}`,
              'free space on its disk',
            ),
          ]
        : []),
      ...(config.auditLog === undefined ? [] : [await examineExport(String(config.auditLog), store)]),
    ]
  } finally {
    await store.close()
  }
}

/** Looks whether the gate delivers audit events. @param target as the configuration names it */
async function examineExport(target: string, { audit, facts }: CliStore): Promise<Finding> {
  const told = await facts.readBookmark(target)
  const waiting = told === undefined ? 0 : Math.max(0, (await audit.head()).id - told)
  const failure = await facts.readExportFailure(target)
  if (failure !== undefined)
    return problem(
      'audit-export',
      `${target} has accepted no audit events since ${failure.since.toISOString()}: ${failure.message}; ${waiting} are waiting`,
      'make it reachable and writable for the gate, which then sends the waiting events',
    )
  return fine('audit-export', `${target}; ${waiting} events waiting`)
}
