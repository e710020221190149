import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname } from 'node:path'
import { addressMatcher } from '../core/address-list.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import { messageOf } from '../core/errors.js'
import type { Service } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { isReservedName } from '../core/reserved-names.js'
import type { Diagnosis } from './diagnosis.js'
import { ok, problem, warning } from './diagnosis.js'
import type { CliDependencies, CliRepositories, DoctorProbes } from './dependencies.js'

/** Repositories that one message names. */
const MAX_NAMED = 5
const UPSTREAM_REMEDY =
  'start the Git server, or correct --upstream, GITGATE_UPSTREAM_AUTHORIZATION, or the certificates (GITGATE_UPSTREAM_CA, GITGATE_UPSTREAM_CLIENT_CERT)'
const ENTERED_BY_OTHERS = 0o001

/** Checks the repositories of the embedded server. */
export async function diagnoseRepositories(config: Config, dependencies: CliDependencies): Promise<Diagnosis[]> {
  const folder = diagnoseRepositoryFolder(config.repos)
  if (folder !== undefined) return [folder]
  const repositories = await dependencies.openRepositories(config.repos, config)
  const paths = repositories.list()
  const conflicting = paths.filter((path) => isReservedName(path.split('/')[0] ?? path))
  const summary =
    conflicting.length === 0
      ? ok('repositories', `${paths.length} in ${config.repos}`)
      : problem(
          'repositories',
          `paths that conflict with gitgate's own URLs: ${conflicting.join(', ')}`,
          'gitgate repo rename PATH NEW',
        )
  return [summary, ...diagnoseReaders(config.repos, paths, repositories), ...diagnoseRefs(paths, repositories)]
}

function diagnoseReaders(root: string, paths: readonly RepositoryPath[], repositories: CliRepositories) {
  const unreadable = paths.filter((path) => repositories.hasUnreadableFiles(path))
  if (unreadable.length > 0) {
    return [
      warning(
        'file-modes',
        `other users can read these repositories, but not all of their files: ${someOf(unreadable)}`,
        `in ${root}: chmod -R g+rX REPOSITORY (o+rX, if everybody may read it)`,
      ),
    ]
  }
  if (!canEverybodyEnter(root)) return []
  return [
    warning(
      'file-modes',
      `every user of this machine can enter ${root} and read repositories without a token`,
      `chmod o= ${root}, unless that is intended`,
    ),
  ]
}

function diagnoseRefs(paths: readonly RepositoryPath[], repositories: CliRepositories) {
  const loose = paths.filter((path) => repositories.hasManyLooseRefs(path))
  const remedy = 'git --git-dir REPOSITORY pack-refs --all, as the user of the gate; or push something to it'
  return loose.length === 0 ? [] : [warning('refs', `many loose refs slow these down: ${someOf(loose)}`, remedy)]
}

function someOf(paths: readonly RepositoryPath[]): string {
  const more = paths.length - MAX_NAMED
  return `${paths.slice(0, MAX_NAMED).join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}

/** Whether a folder, and each one above it, is open to every user. */
function canEverybodyEnter(folder: string): boolean {
  const above = dirname(folder)
  return (statSync(folder).mode & ENTERED_BY_OTHERS) !== 0 && (above === folder || canEverybodyEnter(above))
}

/** @returns `undefined` if the folder can be used */
function diagnoseRepositoryFolder(root: string): Diagnosis | undefined {
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
  return undefined
}

/** Checks whether the upstream is up, and whether anybody can bypass the gate. */
export async function diagnoseUpstream(
  upstream: UpstreamConfig,
  repository: RepositoryPath | undefined,
  probes: DoctorProbes,
): Promise<Diagnosis[]> {
  const { href } = upstream.url
  try {
    if (repository === undefined) {
      const failure = await probes.upstreamFailure(upstream)
      const remedy = 'gitgate doctor --repo PATH requests a repository from it, with and without credentials'
      return failure === undefined
        ? [ok('upstream', `${href} accepts the gate's requests`), warning('bypass', 'not checked', remedy)]
        : [problem('upstream', `${href}: ${failure}`, UPSTREAM_REMEDY)]
    }
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
    return [problem('upstream', `${href}: ${messageOf(error)}`, UPSTREAM_REMEDY)]
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
