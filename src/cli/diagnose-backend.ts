import { accessSync, constants, existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { addressMatcher } from '../core/address-list.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import { messageOf } from '../core/errors.js'
import type { Service } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { isReservedName } from '../core/reserved-names.js'
import type { Diagnosis } from './diagnosis.js'
import { ok, problem, warning } from './diagnosis.js'
import type { CliDependencies, DoctorProbes } from './dependencies.js'

/** Checks the repository folder of the embedded server. */
export async function diagnoseRepositories(config: Config, dependencies: CliDependencies): Promise<Diagnosis> {
  const root = config.repos
  if (!existsSync(root))
    return warning('repositories', `${root} doesn't exist yet`, 'gitgate serve creates it; or pass --repos')
  try {
    accessSync(root, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    return problem(
      'repositories',
      `this user can't read and write ${root}`,
      `change its owner to the user that runs gitgate`,
    )
  }
  const repositories = (await dependencies.openRepositories(root, config)).list()
  const hidden = repositories.filter((path) => isReservedName(path.split('/')[0] ?? path))
  if (hidden.length > 0) {
    return problem(
      'repositories',
      `paths that conflict with gitgate's own URLs: ${hidden.join(', ')}`,
      'gitgate repo rename PATH NEW',
    )
  }
  return ok('repositories', `${repositories.length} in ${root}`)
}

/** Checks whether the upstream is up, and whether anybody can bypass the gate. */
export async function diagnoseUpstream(
  upstream: UpstreamConfig,
  repository: RepositoryPath | undefined,
  probes: DoctorProbes,
): Promise<Diagnosis[]> {
  const { href } = upstream.url
  if (!(await probes.isUpstreamReachable(upstream))) {
    return [problem('upstream', `can't connect to ${href}`, 'start the Git server, or correct --upstream')]
  }
  if (repository === undefined) {
    const remedy = 'gitgate doctor --repo PATH requests a repository from it, with and without credentials'
    return [ok('upstream', `${href} accepts connections`), warning('bypass', 'not checked', remedy)]
  }
  try {
    const request = (service: Service, as: 'gate' | 'anonymous' | 'made-up-user') =>
      probes.upstreamStatus(upstream, repository, service, as)
    return [
      diagnoseOwnAccess(href, repository, await request('git-upload-pack', 'gate')),
      diagnoseBypass(upstream, {
        pull: await request('git-upload-pack', 'anonymous'),
        push: await request('git-receive-pack', 'anonymous'),
        pushAsMadeUpUser: await request('git-receive-pack', 'made-up-user'),
      }),
    ]
  } catch (error) {
    return [problem('upstream', `${href}: ${messageOf(error)}`, 'check its log, and GITGATE_UPSTREAM_CA for HTTPS')]
  }
}

function diagnoseOwnAccess(href: string, repository: RepositoryPath, status: number): Diagnosis {
  if (status === 200) return ok('upstream', `${href} serves ${repository}`)
  if (status === 404)
    return problem(
      'upstream',
      `${href} has no ${repository}`,
      'pass a repository that exists, or correct the path of --upstream',
    )
  if (status === 401 || status === 403) {
    return problem(
      'upstream',
      `${href} refuses gitgate's requests (${status})`,
      'set its credentials: GITGATE_UPSTREAM_AUTHORIZATION',
    )
  }
  return problem('upstream', `${href} responds with ${status}`, 'check its log')
}

type OpenStatus = { readonly pull: number; readonly push: number; readonly pushAsMadeUpUser: number }

/** An upstream that accepts requests without credentials is safe only if nobody but the gate can reach it. */
function diagnoseBypass({ url }: UpstreamConfig, status: OpenStatus): Diagnosis {
  const isPushed = status.push === 200 || status.pushAsMadeUpUser === 200
  if (!isPushed && status.pull !== 200) return ok('bypass', 'the upstream refuses requests without credentials')
  const underAnyName = status.pushAsMadeUpUser === 200 && status.push !== 200 ? ', under any name,' : ''
  const what = isPushed ? `push${underAnyName} to` : 'read from'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const isLoopback = host === 'localhost' || (isIP(host) !== 0 && addressMatcher(['127.0.0.0/8', '::1'])(host))
  if (isLoopback) return ok('bypass', `anybody on this machine can ${what} the upstream; nobody else can reach it`)
  const remedy =
    'make it listen on loopback, put it behind a firewall, or have it require credentials (GITGATE_UPSTREAM_AUTHORIZATION)'
  return problem('bypass', `anybody who can reach ${url.host} can ${what} it without a token`, remedy)
}
