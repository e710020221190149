import { accessSync, constants, existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { addressMatcher } from '../core/address-list.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import { messageOf } from '../core/errors.js'
import type { Service } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { isReservedName } from '../core/reserved-names.js'
import type { Finding } from './finding.js'
import { fine, problem, warning } from './finding.js'
import type { CliRooms, Examine } from './rooms.js'

/** Looks at the folder of the embedded server. */
export async function examineRepositories(config: Config, rooms: CliRooms): Promise<Finding> {
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
  const repositories = (await rooms.openRepositories(root, config)).list()
  const hidden = repositories.filter((path) => isReservedName(path.split('/')[0] ?? path))
  if (hidden.length > 0) {
    return problem(
      'repositories',
      `paths that conflict with gitgate's own URLs: ${hidden.join(', ')}`,
      'gitgate repo rename PATH NEW',
    )
  }
  return fine('repositories', `${repositories.length} in ${root}`)
}

/** Looks at the server behind the gate: whether it is there, and whether anybody can bypass the gate. */
export async function examineUpstream(
  upstream: UpstreamConfig,
  repository: RepositoryPath | undefined,
  examine: Examine,
): Promise<Finding[]> {
  const { href } = upstream.url
  if (!(await examine.reachable(upstream))) {
    return [problem('upstream', `can't connect to ${href}`, 'start the Git server, or correct --upstream')]
  }
  if (repository === undefined) {
    const remedy = 'gitgate doctor --repo PATH requests a repository from it, with and without credentials'
    return [fine('upstream', `${href} accepts connections`), warning('bypass', 'not checked', remedy)]
  }
  try {
    const ask = (service: Service, as: 'the gate' | 'nobody' | 'somebody') =>
      examine.pastTheGate(upstream, repository, service, as)
    return [
      judgeOwn(href, repository, await ask('git-upload-pack', 'the gate')),
      judgeOpen(upstream, {
        pull: await ask('git-upload-pack', 'nobody'),
        push: await ask('git-receive-pack', 'nobody'),
        pushAsAnybody: await ask('git-receive-pack', 'somebody'),
      }),
    ]
  } catch (error) {
    return [problem('upstream', `${href}: ${messageOf(error)}`, 'check its log, and GITGATE_UPSTREAM_CA for HTTPS')]
  }
}

function judgeOwn(href: string, repository: RepositoryPath, status: number): Finding {
  if (status === 200) return fine('upstream', `${href} serves ${repository}`)
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

type OpenStatus = { readonly pull: number; readonly push: number; readonly pushAsAnybody: number }

/** A server that lets anybody push is safe only where nobody but the gate reaches it. */
function judgeOpen({ url }: UpstreamConfig, status: OpenStatus): Finding {
  const isPushed = status.push === 200 || status.pushAsAnybody === 200
  if (!isPushed && status.pull !== 200) return fine('bypass', 'the upstream refuses requests without credentials')
  const asAnybody = status.pushAsAnybody === 200 && status.push !== 200 ? ', under any name,' : ''
  const what = isPushed ? `push${asAnybody} to` : 'read from'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const isLoopback = host === 'localhost' || (isIP(host) !== 0 && addressMatcher(['127.0.0.0/8', '::1'])(host))
  if (isLoopback) return fine('bypass', `anybody on this machine can ${what} the upstream; nobody else can reach it`)
  const remedy =
    'make it listen on loopback, put it behind a firewall, or have it require credentials (GITGATE_UPSTREAM_AUTHORIZATION)'
  return problem('bypass', `anybody who can reach ${url.host} can ${what} it without a token`, remedy)
}
