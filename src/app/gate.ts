import { randomUUID } from 'node:crypto'
import { Server as HttpsServer } from 'node:https'
import { Access } from '../domain/access/access.js'
import { Bans } from '../domain/access/ban.js'
import { ActiveTransfers, PushHeads } from '../git/http/authorized-request.js'
import { AccessMemory } from '../domain/access/memory.js'
import { SignIn } from '../domain/access/sign-in.js'
import { Passwords } from '../domain/accounts/password.js'
import { AuditRecorder } from '../domain/audit/recorder.js'
import { AuditThread } from '../storage/audit-thread.js'
import { createServer } from '../server/server.js'
import type { ApiOptions } from '../api/rest/api-options.js'
import type { GateDependencies } from './gate-dependencies.js'
import type { Config } from '../config/config.js'
import { openBackend } from './backends.js'
import { singletonServices } from './singleton-services.js'
import { DEFAULT_INTERVALS } from '../core/intervals.js'
import { FileReloader } from '../server/file-reloader.js'
import { listen, readTls, reloadableTls, stop } from '../server/listener.js'
import type { Handler } from '../core/http.js'
import type { ReadinessCheck } from '../server/health.js'
import { health, readiness, statesOf } from '../server/health.js'
import { isGitPath } from '../protocol/git-request.js'
import { httpsRedirect } from '../server/https-redirect.js'
import type { Route } from '../server/server.js'
import { gitHandler } from '../git/http/git-handler.js'
import type { Store } from '../storage/open.js'
import { LastUse } from '../domain/tokens/last-use.js'
import { readVersion } from '../core/version.js'
import { webHandler } from '../web/web-handler.js'
import type { WebOptions } from '../web/web-options.js'

/** A gate, ready to listen. */
export type Gate = {
  /** @returns the URL that it listens on. @throws GitgateError `listen` */
  listen(): Promise<string>
  /** Reads the certificate, the key and the upstream's credential again, and logs the outcome. Transfers continue. */
  readonly reload: () => void
  /** Accepts no more requests, lets active ones finish within the configured time, and stops. */
  close(): Promise<void>
}

/** Builds the parts of a gate in order. */
export async function createGate(config: Config, dependencies: GateDependencies): Promise<Gate> {
  const { clock, log, store, worker, intervals = DEFAULT_INTERVALS, umask } = dependencies
  let url = ''
  let closing = false
  const baseUrl = (): string => config.publicUrl ?? url
  const pseudonym = worker?.info.pseudonym ?? newPseudonym()
  // Read first, so that a mistake shows before anything is opened.
  const tls = readTls(config)
  // With several workers, the primary has done this.
  if (worker === undefined) await store.reserveSpace()

  const memory = new AccessMemory(store.access)
  const lastUse = new LastUse(
    store.tokens,
    (error) => {
      log.error({ err: error }, 'writing the last use of tokens failed; retrying')
    },
    intervals.flushMs,
  )
  const auditThread = new AuditThread(config, store.audit)
  const audit = new AuditRecorder(
    auditThread,
    (error, lost) => {
      log.error({ err: error, lost }, 'writing audit events failed; retrying')
    },
    intervals.flushMs,
  )
  const passwords = new Passwords(clock, { cost: config.bcryptCost })
  const access = new Access({
    memory,
    passwords,
    bans: new Bans(worker && ((rules) => worker.client.failures(rules))),
    clock,
    ownsGroup: config.upstream === undefined,
    budgets: store.tokens,
    onTokenUse: (token, ip, now) => lastUse.record(token, ip, now),
  })
  const activeTransfers = new ActiveTransfers(
    () => store.access.readEpoch(),
    (error) => {
      log.error({ err: error }, 're-authorising transfers failed; retrying')
    },
    intervals.epochPollMs,
  )
  const { backend, served, description, listRepositories, check, counts, reloadables, close } = await openBackend(
    config,
    {
      log,
      access,
      baseUrl,
      pseudonym,
      intervals,
      umask,
      worker,
    },
  )

  const shared = {
    ...store,
    recorder: audit,
    access,
    passwords,
    listRepositories,
    baseUrl,
    version: readVersion(),
  }
  const api: ApiOptions = { ...shared, onError: (error) => log.error({ err: error }, 'an API request failed') }
  const web: WebOptions = {
    ...shared,
    signIn: new SignIn({ memory, passwords, clock }),
    hsts: config.hsts,
    sendsMail: config.smtp !== undefined,
    onError: (error) => log.error({ err: error }, 'a page failed'),
  }
  // Loaded when first used: a gate that serves only Git saves the memory and a part of a second.
  const rest = onFirstUse(async () => (await import('../api/rest/rest-api.js')).restApi(api))
  const graphql = onFirstUse(async () => (await import('../api/graphql/graphql-api.js')).graphqlApi(api))
  const pages = onFirstUse(async () => (await import('../web/app.js')).webPages(web))
  const watched = watchedParts(config, store)
  const measures = once(async () =>
    (await import('../server/metrics.js')).gateMetrics(counts, {
      watched: () => statesOf(watched),
      waitingEvents: () => waitingEvents(config, store),
    }),
  )
  const ownMetrics = async (): Promise<string> => (await measures()).metrics()
  // Registered early: the first request for metrics may go to another worker.
  const readMetrics = worker?.client.metrics(async () => (await measures()).getMetricsAsJSON()) ?? ownMetrics
  const metrics = onFirstUse(async () =>
    (await import('../server/metrics.js')).metricsHandler(config.metricsAllow, readMetrics),
  )

  const exactly =
    (...paths: readonly string[]) =>
    (path: string) =>
      paths.includes(path)
  const routes: readonly Route[] = [
    { claims: exactly('/-/health', '/-/liveness'), handle: health },
    {
      claims: exactly('/-/readiness'),
      handle: readiness([
        { name: 'accepting', check: () => Promise.resolve(!closing) },
        { name: 'store', check: async () => (await store.access.readEpoch()) > 0 },
        check,
        ...watched,
      ]),
    },
    { claims: exactly('/-/metrics'), handle: metrics },
    { claims: exactly('/api/graphql'), handle: graphql },
    { claims: (path) => path.startsWith('/api/v4/'), handle: rest },
    {
      claims: isGitPath,
      handle: gitHandler({
        access,
        backend,
        activeTransfers,
        audit,
        pushHeads: new PushHeads(intervals.requestTimeoutMs),
        baseUrl,
        realm: config.realm,
        pseudonym,
      }),
    },
    { claims: () => true, handle: webHandler(pages, baseUrl) },
  ]
  const serverOptions = {
    log,
    trustedProxies: config.trustedProxies,
    idleTimeout: config.idleTimeout,
    requestTimeout: intervals.requestTimeoutMs,
    connectionsPerAddress: config.connectionsPerAddress,
  }
  const { server, connections } = createServer({ ...serverOptions, routes, tls })
  const redirect = createServer({
    ...serverOptions,
    routes: [{ claims: () => true, handle: httpsRedirect(config.publicUrl, () => url) }],
    tls: undefined,
  })
  const reloader = new FileReloader(
    [...(server instanceof HttpsServer ? [reloadableTls(config, server)] : []), ...reloadables],
    log,
    intervals.filePollMs,
  )
  const services = worker === undefined ? singletonServices(config, dependencies) : undefined

  return {
    async listen() {
      url = await listen(server, config)
      const { host, httpRedirectPort: port } = config
      const redirectUrl = port === undefined ? undefined : await listen(redirect.server, { host, port, tls: undefined })
      const about = {
        served,
        description: redirectUrl === undefined ? description : { ...description, redirects: redirectUrl },
      }
      worker?.client.listens(url, about)
      // Only now: a second start that finds the port in use must not change what commands believe is served.
      await services?.begin(baseUrl(), about)
      return url
    },
    reload: () => reloader.reload(),
    async close() {
      closing = true
      await reloader.close()
      const servicesEnded = services?.end()
      await Promise.all(
        [{ server, connections }, redirect].map((one) =>
          stop(one.server, one.connections, config.shutdownTimeout, log),
        ),
      )
      await close()
      await lastUse.flush()
      await audit.close()
      await auditThread.close()
      await servicesEnded
      await services?.endLast()
    },
  }
}

/** Parts without which a gate still serves, but degraded. */
function watchedParts({ auditLog }: Config, store: Store): ReadinessCheck[] {
  const disk = { name: 'disk', check: async () => !(await store.isDiskFull()), otherwise: 'degraded' } as const
  if (auditLog === undefined) return [disk]
  const isDelivering = async () => (await store.facts.readExportFailure(String(auditLog))) === undefined
  return [disk, { name: 'audit_export', check: isDelivering, otherwise: 'degraded' }]
}

/** How many audit events wait to be exported; `undefined` without an export target. */
async function waitingEvents({ auditLog }: Config, { facts, audit }: Store): Promise<number | undefined> {
  if (auditLog === undefined) return undefined
  const exported = await facts.readBookmark(String(auditLog))
  return exported === undefined ? 0 : Math.max(0, (await audit.head()).id - exported)
}

/** The name in `Via` by which a gate recognises its own requests if they come back. */
export function newPseudonym(): string {
  return `gitgate-${randomUUID()}`
}

/** A handler that is built on its first request. */
function onFirstUse(build: () => Promise<Handler>): Handler {
  const handler = once(build)
  return async (context) => {
    await (
      await handler()
    )(context)
  }
}

/** Makes something on first use. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}
