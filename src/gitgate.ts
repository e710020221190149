import { randomUUID } from 'node:crypto'
import { Access } from './access/access.js'
import { Bans } from './access/ban.js'
import { LiveExchanges } from './access/live-exchanges.js'
import { AccessMemory } from './access/memory.js'
import { TOKENS_PAGE } from './access/refusal.js'
import { SignIn } from './access/sign-in.js'
import { Passwords } from './accounts/password.js'
import { AuditRecorder } from './audit/recorder.js'
import { AuditFollower } from './audit-log/follower.js'
import { openTarget } from './audit-log/target.js'
import { AuditThread } from './audit-thread.js'
import { clientAddressResolver } from './client-address.js'
import type { ApiOptions } from './api/rest/options.js'
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import { openBackend } from './backends.js'
import type { RunningJobs } from './jobs/start.js'
import { startJobs } from './jobs/start.js'
import { listen, readTls, stop } from './listener.js'
import type { Front } from './http.js'
import type { Logger } from './log.js'
import { health, readiness } from './operations.js'
import { isGitPath } from './protocol/git-request.js'
import type { Route } from './server.js'
import { createServer } from './server.js'
import { smartHttp } from './smart-http/front.js'
import type { OpenStore } from './store/open.js'
import { LastUse } from './tokens/last-use.js'
import { readVersion } from './version.js'
import { webFront } from './web/front.js'
import type { WebOptions } from './web/options.js'

/** What the gate is given from outside. */
export type Surroundings = {
  readonly clock: Clock
  readonly log: Logger
  /** Open; stays its owner's to close. */
  readonly store: OpenStore
}

/** A gate, ready to listen. */
export type Gate = {
  /** @returns the URL that it listens on. @throws GitgateError `listen` */
  listen(): Promise<string>
  /** Takes no more requests, lets running ones finish within the configured time, and ends. */
  close(): Promise<void>
}

/** Builds the rooms in order. */
export async function createGate(config: Config, surroundings: Surroundings): Promise<Gate> {
  const { clock, log, store } = surroundings
  let url = ''
  let closing = false
  const baseUrl = (): string => config.publicUrl ?? url
  // By this name in `Via` a gate knows its own requests, should they come back to it.
  const pseudonym = `gitgate-${randomUUID()}`

  const memory = new AccessMemory(store.access)
  const lastUse = new LastUse(store.tokens, (error) => {
    log.error({ err: error }, 'last use was not written; will try again')
  })
  const auditThread = new AuditThread(config, store.audit)
  const audit = new AuditRecorder(auditThread, (error, lost) => {
    log.error({ err: error, lost }, 'the audit trail was not written; will try again')
  })
  const follower = followAudit(config, surroundings)
  const passwords = new Passwords(clock, { cost: config.bcryptCost })
  const access = new Access({
    memory,
    passwords,
    bans: new Bans(),
    clock,
    ownsGroup: config.upstream === undefined,
    budgets: store.tokens,
    onTokenUse: (token, ip, now) => lastUse.record(token, ip, now),
  })
  const live = new LiveExchanges(
    () => store.access.readEpoch(),
    (error) => {
      log.error({ err: error }, 'running transfers were not looked at; will try again')
    },
  )
  const { backend, served, description, listRepositories, check, counts, close } = await openBackend(config, {
    log,
    access,
    baseUrl,
    pseudonym,
  })

  const rooms = {
    ...store,
    recorder: audit,
    access,
    passwords,
    listRepositories,
    baseUrl,
    version: readVersion(),
  }
  const api: ApiOptions = { ...rooms, onError: (error) => log.error({ err: error }, 'an API request failed') }
  const web: WebOptions = {
    ...rooms,
    signIn: new SignIn({ memory, passwords, clock }),
    onError: (error) => log.error({ err: error }, 'a page failed'),
  }
  // What a gate for Git alone never needs is not loaded: it takes memory, and a part of a second.
  const rest = onFirstUse(async () => (await import('./api/rest/app.js')).restApi(api))
  const graphql = onFirstUse(async () => (await import('./api/graphql/front.js')).graphqlApi(api))
  const pages = onFirstUse(async () => (await import('./web/app.js')).webPages(web))
  const metrics = onFirstUse(async () => {
    const { gateMetrics, metricsFront } = await import('./metrics.js')
    const registry = gateMetrics(counts)
    return metricsFront(config.metricsAllow, () => registry.metrics())
  })

  const exactly =
    (...paths: readonly string[]) =>
    (path: string) =>
      paths.includes(path)
  const routes: readonly Route[] = [
    { claims: exactly('/-/health', '/-/liveness'), front: health },
    {
      claims: exactly('/-/readiness'),
      front: readiness([
        { name: 'accepting', check: () => Promise.resolve(!closing) },
        { name: 'store', check: async () => (await store.access.readEpoch()) > 0 },
        check,
      ]),
    },
    { claims: exactly('/-/metrics'), front: metrics },
    { claims: exactly('/api/graphql'), front: graphql },
    { claims: (path) => path.startsWith('/api/v4/'), front: rest },
    { claims: isGitPath, front: smartHttp({ access, backend, live, audit, baseUrl, realm: config.realm, pseudonym }) },
    { claims: () => true, front: webFront(pages, baseUrl) },
  ]
  const { server, connections } = createServer({
    routes,
    log,
    clientAddress: clientAddressResolver(config.trustedProxies),
    idleTimeout: config.idleTimeout,
    tls: readTls(config),
  })

  let jobs: RunningJobs | undefined

  return {
    async listen() {
      url = await listen(server, config)
      // Only now: a second start that finds the port in use must not change what commands take for served.
      await store.facts.writeBackend(served)
      await store.facts.writeBaseUrl(baseUrl())
      store.beImpatient()
      await follower?.start()
      log.info({ url: baseUrl(), ...description }, 'listening')
      jobs = startJobs({ config, store, clock, log, tokensPage: () => Promise.resolve(`${baseUrl()}${TOKENS_PAGE}`) })
      return url
    },
    async close() {
      closing = true
      const jobsEnded = jobs?.close()
      await stop(server, connections, config.shutdownTimeout, log)
      close()
      await lastUse.flush()
      await jobsEnded
      await audit.close()
      await auditThread.close()
      await follower?.close()
    },
  }
}

/** Tells the audit trail to where it is wanted, too. */
function followAudit({ auditLog }: Config, { store, log }: Surroundings): AuditFollower | undefined {
  if (auditLog === undefined) return undefined
  return new AuditFollower(store.audit, store.facts, openTarget(auditLog), (error) => {
    log.error({ err: error }, 'the audit trail was not told to GITGATE_AUDIT_LOG; will try again')
  })
}

/** A front that is built when it is first asked. */
function onFirstUse(build: () => Promise<Front>): Front {
  let front: Promise<Front> | undefined
  return async (exchange) => {
    front ??= build()
    await (
      await front
    )(exchange)
  }
}
