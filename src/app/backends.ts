import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Access } from '../domain/access/access.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import { readUpstreamAuthorization } from '../config/config.js'
import { embeddedGit, emptyRepositoryIn } from '../git/embedded/embedded-backend.js'
import { findGit } from '../git/embedded/git-program.js'
import { RepositoryFolder } from '../git/embedded/repository-folder.js'
import { RepositoryListing } from '../git/embedded/repository-listing.js'
import { GitSpawnHelper } from '../git/embedded/spawn-helper.js'
import { GitgateError, messageOf } from '../core/errors.js'
import type { Intervals } from '../core/intervals.js'
import type { Secret } from '../core/secret.js'
import type { Reloadable } from '../server/file-reloader.js'
import { readTls } from '../server/listener.js'
import type { Logger } from '../server/log.js'
import type { BackendCounts } from '../server/metrics.js'
import type { ReadinessCheck } from '../server/health.js'
import type { Backend } from '../protocol/backend.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { CacheReport } from '../git/cache/status-file.js'
import { cacheFolderIn, CacheStatusFile, openCacheFolder } from '../git/cache/status-file.js'
import type { Limiters } from '../git/admission/limited-backend.js'
import { createLimiters, limitedBackend } from '../git/admission/limited-backend.js'
import { ResponseCache } from '../git/cache/response-cache.js'
import { cachedBackend } from '../git/cache/cached-backend.js'
import type { ServedBackend } from '../storage/instance-facts.js'
import { upstream } from '../git/upstream/upstream-backend.js'
import type { UpstreamTarget } from '../git/upstream/forward.js'
import { createForward } from '../git/upstream/forward.js'
import { findUpstreamFailure, upstreamReadiness } from '../git/upstream/upstream-status.js'
import type { ClusterClient } from '../cluster/cluster-client.js'
import { answerWorkers, askingShardOwners } from '../cluster/shard-owner.js'
import type { WorkerInfo } from '../cluster/messages.js'

/** A backend, with what the gate reports about it. */
export type OpenBackend = {
  readonly backend: Backend
  /** For commands that run while the gate serves. */
  readonly served: ServedBackend
  /** For the log. */
  readonly description: Readonly<Record<string, string>>
  readonly listRepositories: () => Promise<readonly RepositoryPath[]>
  readonly check: ReadinessCheck
  /** Certificates and credentials that it read from files. */
  readonly reloadables: readonly Reloadable[]
  /** Counters for metrics. */
  readonly counts: () => BackendCounts
  readonly close: () => Promise<void> | void
}

type Uncounted = Omit<OpenBackend, 'counts'>

/** What a backend needs besides the configuration. */
export type BackendNeeds = {
  readonly log: Logger
  readonly access: Pick<Access, 'settings'>
  /** URL at which users reach the gate. */
  readonly baseUrl: () => string
  /** The gate's name in `Via`. */
  readonly pseudonym: string
  readonly intervals: Intervals
  /** The umask of git processes and of the repositories' folders. */
  readonly umask: number | undefined
  /** Present if this is one of several workers of a gate. */
  readonly worker: { readonly client: ClusterClient; readonly info: WorkerInfo } | undefined
}

/** Opens the configured backend: the embedded server or an upstream. */
export async function openBackend(config: Config, needs: BackendNeeds): Promise<OpenBackend> {
  const open = config.upstream === undefined ? await openEmbedded(config, needs) : openUpstream(config.upstream, needs)
  // A cache hit needs no slot.
  const common = needs.worker && sharedLimiters(needs.worker.client)
  const limiters = common ?? createOwnLimiters(config)
  const counts = (): BackendCounts => ({
    runs: {
      refs: common?.refs.own ?? limiters.refs.counts,
      packs: common?.packs.own ?? limiters.packs.counts,
      pushes: common?.pushes.own ?? limiters.pushes.counts,
    },
    cache: undefined,
  })
  const limited = { ...open, backend: limitedBackend(open.backend, limiters, needs.intervals), counts }
  if (!config.cache) return limited
  try {
    return await withCache(limited, config, needs)
  } catch (error) {
    await open.close()
    throw error
  }
}

/** The configured limits, for all processes of a gate together. */
export function createOwnLimiters({ queue: { total, perRepository, waiting } }: Config): Limiters {
  return createLimiters(total, perRepository, waiting)
}

function sharedLimiters(client: ClusterClient) {
  return { refs: client.limiter('refs'), packs: client.limiter('packs'), pushes: client.limiter('pushes') }
}

/** Puts the cache in front of a backend. */
async function withCache(
  open: OpenBackend,
  config: Config,
  { log, worker, intervals }: BackendNeeds,
): Promise<OpenBackend> {
  const root = cacheFolderIn(config.data)
  const quota = Math.floor(config.cacheSize / (worker?.info.count ?? 1))
  const onLost = (error: unknown): void => log.error({ err: error }, 'cache disabled for 60 s after an I/O error')
  const { path: folder, instance } = await openCacheFolder(root)
  const cache = new ResponseCache({ folder, quota, onLost, firstProgressMs: intervals.firstProgressMs })
  const report = (): CacheReport => ({
    instance: instance.id,
    pid: process.pid,
    at: new Date().toISOString(),
    quota,
    ...cache.counts,
  })
  const statusFile = new CacheStatusFile(
    root,
    report,
    () => cache.clear(),
    (error) => log.warn({ err: error }, 'writing the cache status file failed; retrying'),
  )
  // What an upstream has shown to an account is known only to the worker that passed it on.
  const shard = config.upstream === undefined ? worker?.info : undefined
  const source = shard === undefined ? open.backend : askingShardOwners(open.backend, shard)
  const backend = cachedBackend(source, cache, config.upstreamSameForAll, intervals.shownRefsMs)
  const stopAnswering = shard === undefined ? undefined : await answerWorkers(backend, shard)
  return {
    ...open,
    backend,
    counts: () => ({ ...open.counts(), cache: cache.counts }),
    close: async () => {
      await stopAnswering?.()
      await statusFile.close()
      cache.close()
      await instance.release()
      await open.close()
    },
  }
}

async function openEmbedded(
  config: Config,
  { log, access, pseudonym, intervals, umask }: BackendNeeds,
): Promise<Uncounted> {
  const program = await findGit(config.git, umask)
  const spawnHelper = await GitSpawnHelper.open({
    umask,
    onLost: (error) => log.warn({ err: error }, 'git spawn helper exited; restarting'),
  })
  const git = { ...program, start: spawnHelper.start }
  const folder = new RepositoryFolder(config.repos, umask)
  const listing = new RepositoryListing(folder.root)
  const removed = await folder.join(pseudonym)
  if (removed > 0) log.info({ removed }, 'removed quarantines of killed pushes')
  const backend = await embeddedGit({
    git,
    folder,
    emptyRepository: emptyRepositoryIn(config.data),
    receiveMaxInputSize: async () => (await access.settings()).receive_max_input_size,
    refPackingQuietMs: intervals.refPackingQuietMs,
  })
  return {
    backend,
    served: { root: folder.root },
    description: { repositories: folder.root, git: git.version },
    listRepositories: () => listing.list(),
    reloadables: [],
    check: { name: 'repositories', check: () => Promise.resolve(folder.isUsable()) },
    async close() {
      spawnHelper.close()
      await folder.leave()
    },
  }
}

function openUpstream(config: UpstreamConfig, { log, baseUrl, pseudonym }: BackendNeeds): Uncounted {
  const { url, headersTimeout } = config
  // Both are replaced when their files change.
  let target = readTarget(config)
  let { authorization } = config
  const { forward, renewTls, close } = createForward(target)
  const backend = upstream({
    forward,
    gate: {
      get authorization() {
        return authorization
      },
      publicUrl: baseUrl,
      pseudonym,
    },
    headersTimeout,
  })
  const check = upstreamReadiness(
    () => findUpstreamFailure(target, authorization),
    (failure) => {
      if (failure === undefined) log.info('upstream ready again')
      else log.warn({ reason: failure }, 'upstream not ready')
    },
  )
  return {
    backend,
    served: { upstream: url.href },
    description: { upstream: url.href },
    listRepositories: () => Promise.resolve([]),
    reloadables: reloadablesOf(config, {
      authorization: (secret) => (authorization = secret),
      target: (renewed) => {
        target = renewed
        renewTls(renewed)
      },
    }),
    check: { name: 'upstream', check },
    close,
  }
}

function reloadablesOf(
  config: UpstreamConfig,
  use: { readonly authorization: (secret: Secret) => void; readonly target: (target: UpstreamTarget) => void },
): Reloadable[] {
  const { authorizationFile, ca, clientCertificate } = config
  const certificates = [ca, clientCertificate?.cert, clientCertificate?.key].filter((file) => file !== undefined)
  return [
    ...(authorizationFile === undefined
      ? []
      : [
          {
            what: "the upstream's credential",
            files: [authorizationFile],
            reload: () => use.authorization(readUpstreamAuthorization(authorizationFile)),
          },
        ]),
    ...(certificates.length === 0
      ? []
      : [{ what: "the upstream's certificates", files: certificates, reload: () => use.target(readTarget(config)) }]),
  ]
}

/**
 * Reads the certificates for an upstream.
 *
 * @throws GitgateError `configuration` if they can't be used
 */
export function readTarget({ url, ca, clientCertificate }: UpstreamConfig): UpstreamTarget {
  const pair = readTls({ tls: clientCertificate })
  if (ca === undefined) return { url, tls: { ...pair } }
  try {
    const certificates = readFileSync(ca)
    // TLS would ignore a file without certificates and then trust no server.
    new X509Certificate(certificates)
    return { url, tls: { ...pair, ca: certificates } }
  } catch (cause) {
    throw new GitgateError('configuration', `the certificates ${ca} can't be used: ${messageOf(cause)}`, { cause })
  }
}
