import { X509Certificate } from 'node:crypto'
import { userInfo } from 'node:os'
import { TOKENS_PAGE } from '../domain/access/refusal.js'
import type { Actor } from '../domain/audit/event.js'
import { THE_GATE } from '../domain/audit/event.js'
import type { DestinationStream } from 'pino'
import type { CliDependencies } from '../cli/dependencies.js'
import type { Clock } from '../core/clock.js'
import { systemClock } from '../core/clock.js'
import type { Config } from '../config/config.js'
import { findGit } from '../git/embedded/git-program.js'
import { hasManyLooseRefs } from '../git/embedded/ref-packing.js'
import { createSampleRepository, hasUnreadableFiles, RepositoryFolder } from '../git/embedded/repository-folder.js'
import type { Intervals } from '../core/intervals.js'
import { readTls } from '../server/listener.js'
import type { Store, StoreOptions } from '../storage/open.js'
import { requestClear, cacheFolderIn, readReports } from '../git/cache/status-file.js'
import { databaseIn } from '../storage/data-folder.js'
import { keptDatabases } from '../storage/kept-databases.js'
import { examineDatabase, openStore } from '../storage/open.js'
import { redactTokens } from '../domain/tokens/token-secret.js'
import { findUpstreamFailure, requestStatus } from '../git/upstream/upstream-status.js'

/** Parts of the process that the command line uses, replaceable in tests. */
export type ProcessParts = {
  /** @default the machine's */
  readonly clock?: Clock
  /** Environment, in which sudo names the user who called it. @default the process's */
  readonly env?: NodeJS.ProcessEnv
  /** Destination of a gate's log. @default standard error */
  readonly logDestination?: DestinationStream
  /** Polling intervals and timeouts of a gate. */
  readonly intervals?: Intervals
  /** The umask of git processes and of the repositories' folders. @default the process's */
  readonly umask?: number
  /** Whether committed changes survive a power cut. @default true */
  readonly durable?: boolean
}

/** Creates the command line's dependencies: the adapters, behind the interfaces that it declares. Modules that few commands need
 * are loaded on first use, because users notice a credential helper that takes half a second on each fetch.
 */
export function createCliDependencies(parts: ProcessParts = {}): CliDependencies {
  const { clock = systemClock, env = process.env, logDestination, durable, intervals, umask } = parts
  const operator: Actor = { ...THE_GATE, via: 'cli', operator: operatorName(env) }
  const storeOptions: StoreOptions = {
    clock,
    redact: redactTokens,
    ...(durable === undefined ? {} : { durable }),
  }
  return {
    operator,
    async restore({ data, keyFile }, file, withoutSecrets) {
      const { restoreDatabase } = await import('../storage/restore.js')
      return await restoreDatabase(data, keyFile, file, { actor: operator }, { ...storeOptions, withoutSecrets })
    },
    openStore(config) {
      const store = openStore(config.data, config.keyFile, storeOptions)
      return {
        ...store,
        async createGate(config) {
          const [{ createClusterGate }, { createLog }] = await Promise.all([
            import('./primary.js'),
            import('../server/log.js'),
          ])
          const log = createLog(config.logLevel, redactTokens, logDestination)
          return await createClusterGate(config, { clock, log, store, umask, ...(intervals && { intervals }) })
        },
        async jobs(config) {
          const { listJobs, runJob, testWebhook } = await import('../jobs/run.js')
          const tokensPage = async (): Promise<string> => `${await baseUrlOf(config, store)}${TOKENS_PAGE}`
          const options = { config, store, clock, tokensPage }
          return {
            list: () => listJobs(options),
            run: (name) => runJob(name, options),
            testWebhook: (webhook) => testWebhook(webhook, clock()),
          }
        },
      }
    },

    async openRepositories(root, config) {
      const git = await findGit(config.git, umask)
      const folder = new RepositoryFolder(root, umask)
      return {
        root: folder.root,
        has: (path) => folder.has(path),
        hasGroup: (path) => folder.hasGroup(path),
        list: () => folder.list(),
        create: (path, format) => folder.create(git, path, format),
        createSample: (path, readme) => createSampleRepository(git, folder, path, readme),
        remove: (path) => folder.remove(path),
        rename: (path, to) => folder.rename(path, to),
        hasManyLooseRefs: (path) => hasManyLooseRefs(folder.locate(path)),
        hasUnreadableFiles: (path) => hasUnreadableFiles(folder.locate(path)),
      }
    },
    cache: {
      reports: ({ data }) => readReports(cacheFolderIn(data)),
      clear: ({ data }) => requestClear(cacheFolderIn(data)),
    },
    probes: {
      git: (config) => findGit(config.git),
      database: (config) => examineDatabase(config.data),
      keptDatabases: (config) => keptDatabases(databaseIn(config.data)),
      certificate(config) {
        const pair = readTls(config)
        return pair === undefined ? undefined : new Date(new X509Certificate(pair.cert).validTo)
      },
      async upstreamFailure(upstream) {
        const { readTarget } = await import('./backends.js')
        return await findUpstreamFailure(readTarget(upstream), upstream.authorization)
      },
      async upstreamStatus(upstream, repository, service, as) {
        const { readTarget } = await import('./backends.js')
        const credential = as === 'gate' ? upstream : as === 'made-up-user' ? { user: as } : {}
        return await requestStatus(readTarget(upstream), repository, service, credential)
      },
    },
  }
}

/** The operating system's user and, with sudo, who called it. */
function operatorName(env: NodeJS.ProcessEnv): string {
  const sudoer = env['SUDO_USER']
  return sudoer === undefined ? userName() : `${userName()} (${sudoer})`
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user without a name.
    return `uid ${process.geteuid?.() ?? '?'}`
  }
}

/** The gate's URL: as configured, or where it last listened. */
async function baseUrlOf({ publicUrl, host, port }: Config, { facts }: Store): Promise<string> {
  return publicUrl ?? (await facts.readBaseUrl()) ?? `http://${host}:${port}`
}
