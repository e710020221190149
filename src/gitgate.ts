import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Access } from './access/access.js'
import { Bans } from './access/ban.js'
import { LiveExchanges } from './access/live-exchanges.js'
import { AccessMemory } from './access/memory.js'
import { TOKENS_PAGE } from './access/refusal.js'
import { Passwords } from './accounts/password.js'
import { clientAddressResolver } from './client-address.js'
import type { ApiOptions } from './api/rest/options.js'
import type { Clock } from './clock.js'
import { MINUTE } from './clock.js'
import type { Config, UpstreamConfig } from './config.js'
import { embeddedGit, emptyRepositoryIn } from './embedded-git/backend.js'
import { findGit } from './embedded-git/git-program.js'
import { RepositoryFolder } from './embedded-git/repository-folder.js'
import { GitgateError, messageOf } from './errors.js'
import { listen, readTls, stop } from './listener.js'
import type { Front } from './http.js'
import type { Logger } from './log.js'
import type { ReadinessCheck } from './operations.js'
import { health, readiness } from './operations.js'
import type { Backend } from './protocol/backend.js'
import { revokeTooLongLived } from './policies/lifetime.js'
import { isGitPath } from './protocol/git-request.js'
import type { RepositoryPath } from './protocol/repository-path.js'
import type { Route } from './server.js'
import { createServer } from './server.js'
import { smartHttp } from './smart-http/front.js'
import type { ServedBackend } from './store/facts.js'
import type { OpenStore } from './store/open.js'
import { LastUse } from './tokens/last-use.js'
import { upstream } from './upstream/backend.js'
import { openConnections } from './upstream/connections.js'
import type { Target } from './upstream/forward.js'
import { createForward } from './upstream/forward.js'
import { isReachable } from './upstream/reach.js'
import { readVersion } from './version.js'
import { OLD_TOKENS_PAGES, oldTokensPage, tokensPage, welcome } from './web/signposts.js'

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

const POLICE_EVERY = MINUTE

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
  const { backend, served, description, listRepositories, check, close } =
    config.upstream === undefined
      ? await openEmbedded(config, surroundings, access)
      : openUpstream(config.upstream, baseUrl, pseudonym)

  const api: ApiOptions = {
    ...store,
    access,
    passwords,
    listRepositories,
    baseUrl,
    version: readVersion(),
    onError: (error) => log.error({ err: error }, 'an API request failed'),
  }
  // What a gate for Git alone never needs is not loaded: it takes memory, and a part of a second.
  const rest = onFirstUse(async () => (await import('./api/rest/app.js')).restApi(api))
  const graphql = onFirstUse(async () => (await import('./api/graphql/front.js')).graphqlApi(api))

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
    { claims: exactly(TOKENS_PAGE), front: tokensPage },
    { claims: exactly(...OLD_TOKENS_PAGES), front: oldTokensPage },
    { claims: exactly('/'), front: welcome(baseUrl) },
    { claims: exactly('/api/graphql'), front: graphql },
    { claims: (path) => path.startsWith('/api/v4/'), front: rest },
    { claims: isGitPath, front: smartHttp({ access, backend, live, baseUrl, realm: config.realm, pseudonym }) },
  ]
  const { server, connections } = createServer({
    routes,
    log,
    clientAddress: clientAddressResolver(config.trustedProxies),
    idleTimeout: config.idleTimeout,
    tls: readTls(config),
  })

  let policing: NodeJS.Timeout | undefined
  const police = async (): Promise<void> => {
    try {
      for (const { id } of await revokeTooLongLived(store.tokens, store.settings, clock()))
        log.info({ token_id: id }, 'revoked: lives longer than max_personal_access_token_lifetime')
    } catch (error) {
      log.error({ err: error }, 'lifetimes were not looked at; will try again')
    }
  }

  return {
    async listen() {
      url = await listen(server, config)
      // Only now: a second start that finds the port in use must not change what commands take for served.
      await store.facts.writeBackend(served)
      store.beImpatient()
      log.info({ url: baseUrl(), ...description }, 'listening')
      policing = setInterval(() => void police(), POLICE_EVERY).unref()
      await police()
      return url
    },
    async close() {
      closing = true
      clearInterval(policing)
      await stop(server, connections, config.shutdownTimeout, log)
      close()
      await lastUse.flush()
    },
  }
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

/** A backend, and what the gate says and asks of it. */
type OpenBackend = {
  readonly backend: Backend
  /** For commands that work beside the gate. */
  readonly served: ServedBackend
  /** For the log. */
  readonly description: Readonly<Record<string, string>>
  readonly listRepositories: () => readonly RepositoryPath[]
  readonly check: ReadinessCheck
  readonly close: () => void
}

async function openEmbedded(config: Config, { log }: Surroundings, access: Access): Promise<OpenBackend> {
  const git = await findGit(config.git)
  const folder = new RepositoryFolder(config.repos)
  const removed = await folder.tidy()
  if (removed > 0) log.info({ removed }, 'removed what pushes that were killed had left')
  const backend = await embeddedGit({
    git,
    folder,
    emptyRepository: emptyRepositoryIn(config.data),
    receiveMaxInputSize: async () => (await access.settings()).receive_max_input_size,
  })
  return {
    backend,
    served: { root: folder.root },
    description: { repositories: folder.root, git: git.version },
    listRepositories: () => folder.list(),
    check: { name: 'repositories', check: () => Promise.resolve(folder.isUsable()) },
    close: () => undefined,
  }
}

function openUpstream(config: UpstreamConfig, publicUrl: () => string, pseudonym: string): OpenBackend {
  const { url, authorization, headersTimeout } = config
  const connections = openConnections(url.protocol === 'https:')
  const backend = upstream({
    forward: createForward(targetOf(config)),
    connections,
    introduction: { authorization, publicUrl, pseudonym },
    headersTimeout,
  })
  return {
    backend,
    served: { upstream: url.href },
    description: { upstream: url.href },
    listRepositories: () => [],
    check: { name: 'upstream', check: () => isReachable(url) },
    close: () => connections.close(),
  }
}

/**
 * Where an upstream is, and whom it is trusted by.
 *
 * @throws GitgateError `configuration` when the certificates can't be read
 */
export function targetOf({ url, ca }: UpstreamConfig): Target {
  if (ca === undefined) return { url, ca }
  try {
    return { url, ca: readFileSync(ca) }
  } catch (cause) {
    throw new GitgateError('configuration', `${ca} can't be read: ${messageOf(cause)}`, { cause })
  }
}
