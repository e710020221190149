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
    return warning('repositories', `${root} is not there yet`, 'gitgate serve makes it; or give --repos')
  try {
    accessSync(root, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    return problem(
      'repositories',
      `${root} can't be read and written by this user`,
      `chown it to the user that runs gitgate`,
    )
  }
  const repositories = (await rooms.openRepositories(root, config)).list()
  const hidden = repositories.filter((path) => isReservedName(path.split('/')[0] ?? path))
  if (hidden.length > 0) {
    return problem(
      'repositories',
      `${hidden.join(', ')} stand where gitgate has its own URLs`,
      'gitgate repo rename PATH NEW',
    )
  }
  return fine('repositories', `${repositories.length} in ${root}`)
}

/** Looks at the server behind the gate: whether it is there, and whether anybody gets in past the gate. */
export async function examineUpstream(
  upstream: UpstreamConfig,
  repository: RepositoryPath | undefined,
  examine: Examine,
): Promise<Finding[]> {
  const { href } = upstream.url
  if (!(await examine.reachable(upstream))) {
    return [problem('upstream', `${href} does not take connections`, 'start the Git server, or correct --upstream')]
  }
  if (repository === undefined) {
    const remedy = 'gitgate doctor --repo PATH asks it for a repository, with and without its credential'
    return [fine('upstream', `${href} takes connections`), warning('past the gate', 'not looked at', remedy)]
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
    return [
      problem('upstream', `${href}: ${messageOf(error)}`, 'look at its log, and at GITGATE_UPSTREAM_CA for HTTPS'),
    ]
  }
}

function judgeOwn(href: string, repository: RepositoryPath, status: number): Finding {
  if (status === 200) return fine('upstream', `${href} serves ${repository}`)
  if (status === 404)
    return problem(
      'upstream',
      `${href} has no ${repository}`,
      'give a repository that exists, or correct the path of --upstream',
    )
  if (status === 401 || status === 403) {
    return problem(
      'upstream',
      `${href} refuses gitgate with ${status}`,
      'give its credential: GITGATE_UPSTREAM_AUTHORIZATION',
    )
  }
  return problem('upstream', `${href} answers with ${status}`, 'look at its log')
}

type OpenStatus = { readonly pull: number; readonly push: number; readonly pushAsAnybody: number }

/** A server that lets anybody push is safe only where nobody but the gate reaches it. */
function judgeOpen({ url }: UpstreamConfig, status: OpenStatus): Finding {
  const isPushed = status.push === 200 || status.pushAsAnybody === 200
  if (!isPushed && status.pull !== 200)
    return fine('past the gate', 'the upstream refuses who comes without a credential')
  const asAnybody =
    status.pushAsAnybody === 200 && status.push !== 200 ? ', under any name that they give themselves,' : ''
  const what = isPushed ? `push${asAnybody} to` : 'read from'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const isLoopback = host === 'localhost' || (isIP(host) !== 0 && addressMatcher(['127.0.0.0/8', '::1'])(host))
  if (isLoopback)
    return fine('past the gate', `anybody on this machine may ${what} the upstream; nobody else reaches it`)
  const remedy =
    'let it listen on loopback, close it off by a firewall, or have it ask for a credential (GITGATE_UPSTREAM_AUTHORIZATION)'
  return problem('past the gate', `whoever reaches ${url.host} may ${what} it without a token`, remedy)
}
