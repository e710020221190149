import { TOKENS_PAGE } from '../domain/access/refusal.js'
import { AuditFollower } from '../audit-export/follower.js'
import { openTarget } from '../audit-export/target.js'
import type { Config } from '../config/config.js'
import type { GateDependencies } from './gate-dependencies.js'
import { DEFAULT_INTERVALS } from '../core/intervals.js'
import type { RunningJobs } from '../jobs/start.js'
import { startJobs } from '../jobs/start.js'
import type { ServedBackend } from '../storage/instance-facts.js'

/** What a gate serves, for commands that run at the same time and for the log. */
export type Served = { readonly served: ServedBackend; readonly description: Readonly<Record<string, string>> }

/** What runs once for a gate, however many processes it has: jobs, audit export, and recording what it serves. */
export type SingletonServices = {
  /** Called once the gate listens. @param url at which users reach it */
  begin(url: string, about: Served): Promise<void>
  /** Starts no more jobs, and waits for running ones. */
  end(): Promise<void>
  /** Called after the last audit event was written. */
  endLast(): Promise<void>
}

/** Creates the services, which start with `begin`. */
export function singletonServices(config: Config, dependencies: GateDependencies): SingletonServices {
  const { clock, log, store, intervals = DEFAULT_INTERVALS } = dependencies
  const follower = followAudit(config, dependencies)
  let jobs: RunningJobs | undefined
  return {
    async begin(url, { served, description }) {
      await store.facts.writeBackend(served)
      await store.facts.writeBaseUrl(url)
      await follower?.start()
      log.info({ url, ...description }, 'listening')
      const tokensPage = (): Promise<string> => Promise.resolve(`${url}${TOKENS_PAGE}`)
      jobs = startJobs({ config, store, clock, log, tokensPage }, intervals.jobPollMs)
    },
    async end() {
      await jobs?.close()
    },
    async endLast() {
      await follower?.close()
    },
  }
}

/** Exports the audit log, if configured. */
function followAudit(
  { auditLog }: Config,
  { store, log, clock, intervals = DEFAULT_INTERVALS }: GateDependencies,
): AuditFollower | undefined {
  if (auditLog === undefined) return undefined
  return new AuditFollower(store.audit, store.facts, openTarget(auditLog), {
    pollMs: intervals.auditExportMs,
    clock,
    onError: (error) => log.error({ err: error }, 'exporting audit events to GITGATE_AUDIT_LOG failed; retrying'),
  })
}
