import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Config } from '../config/config.js'
import { DAY } from '../core/clock.js'
import { GitgateError, messageOf } from '../core/errors.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { requireRepositoryPath } from '../protocol/repository-path.js'
import type { CliContext } from './context.js'
import { addCommand, servedFlags } from './context.js'
import { diagnoseData, diagnoseInstance } from './diagnose-data.js'
import { diagnoseRepositories, diagnoseUpstream } from './diagnose-backend.js'
import type { Diagnosis } from './diagnosis.js'
import { diagnose, ok, problem, warning } from './diagnosis.js'

type DoctorOptions = { repo?: string; json?: true }

const EXPIRY_WARNING_MS = 14 * DAY

/** `gitgate doctor`: checks everything that a gate depends on, with a remedy for each problem. */
export function addDoctorCommand(program: Command, context: CliContext): void {
  addCommand(
    program,
    'doctor',
    'check the installation and suggest fixes; exits with 1 if there is a problem',
    'gitgate doctor --repo team/app',
  )
    .option('--repo <path>', 'a repository to request from the upstream directly')
    .action(async (options: DoctorOptions) => {
      const repository = options.repo === undefined ? undefined : requireRepositoryPath(options.repo, 'upstream')
      const diagnoses = await diagnoseAll(context, repository)
      if (options.json === true) context.output.json(diagnoses)
      else showDiagnoses(context, diagnoses)
      const problems = diagnoses.filter(({ status }) => status === 'problem').length
      if (problems > 0) throw new GitgateError('unhealthy', problems === 1 ? 'one problem' : `${problems} problems`)
    })
}

/** The configuration, with what `serve` served last. A store that can't be opened is a diagnosis of its own. */
async function servedConfig(context: CliContext): Promise<Config> {
  const config = context.config()
  if (!existsSync(config.data)) return config
  try {
    const store = context.dependencies.openStore(config)
    const flags = await servedFlags(context, store)
    await store.close()
    return context.config(flags)
  } catch {
    return config
  }
}

async function diagnoseAll(context: CliContext, repository: RepositoryPath | undefined): Promise<Diagnosis[]> {
  const { dependencies } = context
  // First, because opening the data folder corrects its permissions.
  const diagnoses = await diagnoseData(context, context.config())
  const config = await servedConfig(context)
  diagnoses.push(...(await diagnoseInstance(context, config)))
  diagnoses.push(
    ...(await diagnose('git', async () => {
      const { version, path } = await dependencies.probes.git(config)
      return [ok('git', `${version}, ${path}`)]
    })),
  )
  if (config.upstream === undefined)
    diagnoses.push(...(await diagnose('repositories', () => diagnoseRepositories(config, dependencies))))
  else diagnoses.push(...(await diagnoseUpstream(config.upstream, repository, dependencies.probes)))
  diagnoses.push(diagnoseTls(context, config), diagnoseListener(config))
  return diagnoses
}

function diagnoseTls({ dependencies, clock }: CliContext, config: Config): Diagnosis {
  let until: Date | undefined
  try {
    until = dependencies.probes.certificate(config)
  } catch (error) {
    return problem('tls', messageOf(error), 'pass a certificate chain and its key in PEM: --tls-cert, --tls-key')
  }
  if (until === undefined) return ok('tls', 'not configured: plain HTTP')
  const left = until.getTime() - clock().getTime()
  const date = until.toISOString()
  if (left <= 0)
    return problem('tls', `the certificate expired at ${date}`, 'renew it; running gates load it within seconds')
  if (left < EXPIRY_WARNING_MS)
    return warning('tls', `the certificate expires at ${date}`, 'renew it; running gates load it within seconds')
  return ok('tls', `certificate valid until ${date}`)
}

function diagnoseListener({ host, publicUrl, tls, trustedProxies }: Config): Diagnosis {
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
  return ok('proxy', trustedProxies.length === 0 ? 'no trusted proxies' : `trusted: ${trustedProxies.join(', ')}`)
}

const STATUS_LABELS = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const

function showDiagnoses({ output }: CliContext, diagnoses: readonly Diagnosis[]): void {
  for (const { check, status, message, remedy } of diagnoses) {
    output.answer(`${STATUS_LABELS[status].padEnd(8)} ${check.padEnd(12)} ${message}`)
    if (remedy !== null) output.answer(`${' '.repeat(22)}→ ${remedy}`)
  }
}
