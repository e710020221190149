import { existsSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Config } from '../config/config.js'
import { GitgateError, messageOf } from '../core/errors.js'
import { resolveSettings } from '../domain/policies/settings.js'
import type { CliContext } from './context.js'
import type { Diagnosis } from './diagnosis.js'
import { ok, problem, warning } from './diagnosis.js'
import type { CliStore, KeptDatabase } from './dependencies.js'

const MEBIBYTE = 1_048_576
const LOW_DISK_SPACE_MIB = 512

/** Checks the data folder: permissions, free space, the database. Changes nothing. */
export async function diagnoseData({ dependencies }: CliContext, config: Config): Promise<Diagnosis[]> {
  if (!existsSync(config.data))
    return [warning('data', `${config.data} doesn't exist yet`, 'gitgate quickstart, or any other command, creates it')]
  const diagnoses: Diagnosis[] = []
  const { uid, mode } = statSync(config.data)
  const user = process.geteuid?.() ?? uid
  if (uid !== user)
    diagnoses.push(
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
    diagnoses.push(problem('permissions', `other users can access ${open.join(', ')}`, `chmod go= ${open.join(' ')}`))
  else diagnoses.push(ok('permissions', `${config.data} is ${(mode & 0o777).toString(8)}`))

  const { bavail, bsize } = await statfs(config.data)
  const free = Math.floor((bavail * bsize) / MEBIBYTE)
  if (free < LOW_DISK_SPACE_MIB)
    diagnoses.push(
      problem(
        'disk',
        `only ${free} MiB free for ${config.data}`,
        'free space: on a full disk gitgate refuses pushes and changes',
      ),
    )
  else diagnoses.push(ok('disk', `${free} MiB free`))

  try {
    const complaints = dependencies.probes.database(config)
    if (complaints.length === 0) diagnoses.push(ok('database', 'sound'))
    else
      diagnoses.push(
        problem('database', `damaged: ${complaints.slice(0, 3).join('; ')}`, 'stop the gate and restore a backup'),
      )
  } catch (error) {
    const isFull = error instanceof GitgateError && error.code === 'disk-full'
    const remedy = isFull ? 'free space on its disk' : 'stop the gate and restore a backup'
    diagnoses.push(problem('database', messageOf(error), remedy))
  }
  const kept = dependencies.probes.keptDatabases(config)
  if (kept.length > 0) diagnoses.push(ok('kept', kept.map(describeKept).join(', ')))
  return diagnoses
}

function describeKept({ file, bytes, at }: KeptDatabase): string {
  return `${basename(file)} (${Math.ceil(bytes / MEBIBYTE)} MiB, ${at.toISOString().slice(0, 10)})`
}

/** Checks what the store holds: accounts, times later than the clock, bans, audit export. */
export async function diagnoseInstance({ dependencies, clock }: CliContext, config: Config): Promise<Diagnosis[]> {
  if (!existsSync(config.data)) return []
  let store
  try {
    store = dependencies.openStore(config)
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
        : ok('accounts', `${accounts.length} accounts, ${tokens.length} tokens`),
      newest > clock().getTime()
        ? problem(
            'clock',
            `it shows ${clock().toISOString()}, but something was created at ${new Date(newest).toISOString()}`,
            'set the clock and use NTP: token expiry depends on it',
          )
        : ok('clock', clock().toISOString()),
      settings.git_basic_auth_enabled
        ? ok(
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
      ...(config.auditLog === undefined ? [] : [await diagnoseAuditExport(String(config.auditLog), store)]),
    ]
  } finally {
    await store.close()
  }
}

/** Checks whether the gate delivers audit events. @param target as the configuration names it */
async function diagnoseAuditExport(target: string, { audit, facts }: CliStore): Promise<Diagnosis> {
  const delivered = await facts.readBookmark(target)
  const waiting = delivered === undefined ? 0 : Math.max(0, (await audit.head()).id - delivered)
  const failure = await facts.readExportFailure(target)
  if (failure !== undefined)
    return problem(
      'audit-export',
      `${target} has accepted no audit events since ${failure.since.toISOString()}: ${failure.message}; ${waiting} are waiting`,
      'make it reachable and writable for the gate, which then sends the waiting events',
    )
  return ok('audit-export', `${target}; ${waiting} events waiting`)
}
