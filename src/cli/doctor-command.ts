import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Config } from '../config/config.js'
import { GitgateError, messageOf } from '../core/errors.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { requireRepositoryPath } from '../protocol/repository-path.js'
import type { CliContext } from './context.js'
import { addCommand, servedFlags } from './context.js'
import { examineData, examineInstance } from './examine-data.js'
import { examineRepositories, examineUpstream } from './examine-backend.js'
import type { Finding } from './finding.js'
import { attempt, fine, problem, warning } from './finding.js'

type DoctorOptions = { repo?: string; json?: true }

const EXPIRES_SOON = 14 * 86_400_000

/** `gitgate doctor`: look at everything that a gate depends on, and say what to do about what is wrong. */
export function addDoctorCommand(program: Command, context: CliContext): void {
  addCommand(
    program,
    'doctor',
    'check the installation and suggest fixes; exits with 1 if there is a problem',
    'gitgate doctor --repo team/app',
  )
    .option('--repo <path>', 'a repository to request from the upstream directly')
    .action(async (options: DoctorOptions) => {
      const repository = options.repo === undefined ? undefined : requireRepositoryPath(options.repo)
      const findings = await examine(context, repository)
      if (options.json === true) context.output.json(findings)
      else showFindings(context, findings)
      const problems = findings.filter(({ status }) => status === 'problem').length
      if (problems > 0) throw new GitgateError('unhealthy', problems === 1 ? 'one problem' : `${problems} problems`)
    })
}

/** The configuration, with what `serve` served last; a store that can't be opened is found out later. */
async function servedConfig(context: CliContext): Promise<Config> {
  const config = context.config()
  if (!existsSync(config.data)) return config
  try {
    const store = context.rooms.openStore(config)
    const flags = await servedFlags(context, store)
    await store.close()
    return context.config(flags)
  } catch {
    return config
  }
}

async function examine(context: CliContext, repository: RepositoryPath | undefined): Promise<Finding[]> {
  const { rooms } = context
  // First, before anything opens the data folder: that would put its permissions right.
  const found = await examineData(context, context.config())
  const config = await servedConfig(context)
  found.push(...(await examineInstance(context, config)))
  found.push(
    await attempt('git', async () => {
      const { version, path } = await rooms.examine.git(config)
      return fine('git', `${version}, ${path}`)
    }),
  )
  if (config.upstream === undefined) found.push(await attempt('repositories', () => examineRepositories(config, rooms)))
  else found.push(...(await examineUpstream(config.upstream, repository, rooms.examine)))
  found.push(examineTls(context, config), examineListener(config))
  return found
}

function examineTls({ rooms, clock }: CliContext, config: Config): Finding {
  let until: Date | undefined
  try {
    until = rooms.examine.certificate(config)
  } catch (error) {
    return problem('tls', messageOf(error), 'pass a certificate chain and its key in PEM: --tls-cert, --tls-key')
  }
  if (until === undefined) return fine('tls', 'not configured: plain HTTP')
  const left = until.getTime() - clock().getTime()
  const date = until.toISOString()
  if (left <= 0) return problem('tls', `the certificate expired at ${date}`, 'renew it and restart the gate')
  if (left < EXPIRES_SOON) return warning('tls', `the certificate expires at ${date}`, 'renew it and restart the gate')
  return fine('tls', `certificate valid until ${date}`)
}

function examineListener({ host, publicUrl, tls, trustedProxies }: Config): Finding {
  const isLoopback = ['127.0.0.1', '::1', 'localhost'].includes(host)
  if (isLoopback && publicUrl !== undefined && trustedProxies.length === 0) {
    return warning(
      'proxy',
      'the gate is behind a proxy that is not trusted, so all clients appear to be this machine, which is never banned',
      'set GITGATE_TRUSTED_PROXIES to the address of the proxy, such as 127.0.0.1',
    )
  }
  if (!isLoopback && tls === undefined && publicUrl?.startsWith('https:') !== true) {
    return warning(
      'proxy',
      `plain HTTP on ${host} exposes tokens on the network`,
      'use --tls-cert and --tls-key, or a proxy with TLS and --public-url https://…',
    )
  }
  return fine('proxy', trustedProxies.length === 0 ? 'no trusted proxies' : `trusted: ${trustedProxies.join(', ')}`)
}

const MARKS = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const

function showFindings({ output }: CliContext, findings: readonly Finding[]): void {
  for (const { check, status, message, remedy } of findings) {
    output.answer(`${MARKS[status].padEnd(8)} ${check.padEnd(12)} ${message}`)
    if (remedy !== null) output.answer(`${' '.repeat(22)}→ ${remedy}`)
  }
}
