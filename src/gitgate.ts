import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import { Access } from './access/access.js'
import { Bans } from './access/ban.js'
import { AccessMemory } from './access/memory.js'
import { TOKENS_PAGE } from './access/refusal.js'
import { Passwords } from './accounts/password.js'
import { clientAddressResolver } from './client-address.js'
import type { CliRooms } from './cli/rooms.js'
import type { Clock } from './clock.js'
import { systemClock } from './clock.js'
import type { Config } from './config.js'
import { emptyRepositoryIn, embeddedGit } from './embedded-git/backend.js'
import { findGit } from './embedded-git/git-program.js'
import { RepositoryFolder } from './embedded-git/repository-folder.js'
import { createSample } from './embedded-git/sample.js'
import { GitgateError, hasSystemCode, messageOf } from './errors.js'
import type { Logger } from './log.js'
import { health, readiness } from './operations.js'
import { isGitPath } from './protocol/git-request.js'
import type { Route } from './server.js'
import { createServer } from './server.js'
import { smartHttp } from './smart-http/front.js'
import type { OpenStore } from './store/open.js'
import { openStore } from './store/open.js'
import { LastUse } from './tokens/last-use.js'
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

/** What the command line is handed: every adapter, behind the interfaces that it declares. */
export const rooms: CliRooms = {
  openStore: (config) => openStore(config.data, config.keyFile),

  async openRepositories(root, config) {
    const git = await findGit(config.git)
    const folder = new RepositoryFolder(root)
    return {
      root: folder.root,
      has: (path) => folder.has(path),
      hasGroup: (path) => folder.hasGroup(path),
      list: () => folder.list(),
      obstacleTo: (path) => folder.obstacleTo(path),
      create: (path, format) => folder.create(git, path, format),
      createSample: (path, readme) => createSample(git, folder, path, readme),
      remove: (path) => folder.remove(path),
      rename: (path, to) => folder.rename(path, to),
    }
  },

  async createGate(config, log) {
    const store = openStore(config.data, config.keyFile)
    const gate = await createGate(config, { clock: systemClock, log, store })
    return {
      listen: () => gate.listen(),
      async close() {
        await gate.close()
        await store.close()
      },
    }
  },
}

/** Builds the rooms in order. */
export async function createGate(config: Config, { clock, log, store }: Surroundings): Promise<Gate> {
  const git = await findGit(config.git)
  const folder = new RepositoryFolder(config.repos)
  await store.facts.writeRepositoriesRoot(folder.root)

  const memory = new AccessMemory(store.access)
  const lastUse = new LastUse(store.tokens, (error) =>
    log.error({ err: error }, 'last use was not written; will try again'),
  )
  const access = new Access({
    memory,
    passwords: new Passwords(clock, { cost: config.bcryptCost }),
    bans: new Bans(),
    clock,
    ownsGroup: true,
    onTokenUse: (token, ip, now) => lastUse.record(token, ip, now),
  })
  const backend = await embeddedGit({
    git,
    folder,
    emptyRepository: emptyRepositoryIn(config.data),
    receiveMaxInputSize: async () => (await access.settings()).receive_max_input_size,
  })

  let url = ''
  let closing = false
  const baseUrl = (): string => config.publicUrl ?? url
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
        { name: 'repositories', check: () => Promise.resolve(folder.isUsable()) },
      ]),
    },
    { claims: exactly(TOKENS_PAGE), front: tokensPage },
    { claims: exactly(...OLD_TOKENS_PAGES), front: oldTokensPage },
    { claims: exactly('/'), front: welcome(baseUrl) },
    { claims: isGitPath, front: smartHttp({ access, backend, baseUrl, realm: config.realm }) },
  ]
  const server = createServer({
    routes,
    log,
    clientAddress: clientAddressResolver(config.trustedProxies),
    idleTimeout: config.idleTimeout,
    tls: readTls(config),
  })

  return {
    async listen() {
      await listen(server, config)
      url = urlOf(server, config)
      log.info({ url: baseUrl(), repositories: folder.root, git: git.version }, 'listening')
      return url
    },
    async close() {
      closing = true
      await stop(server, config.shutdownTimeout, log)
      await lastUse.flush()
    },
  }
}

async function listen(server: Server, { host, port }: Config): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port)))
    server.listen(port, host, resolve)
  })
}

function listenError(error: Error, host: string, port: number): GitgateError {
  const where = `${host}:${port}`
  if (hasSystemCode(error, 'EADDRINUSE')) {
    return new GitgateError(
      'listen',
      `${where} is in use; is gitgate running already? Stop that program, or choose another --port`,
      { cause: error },
    )
  }
  if (hasSystemCode(error, 'EACCES')) {
    return new GitgateError('listen', `${where} may not be listened on by this user; choose a --port above 1023`, {
      cause: error,
    })
  }
  return new GitgateError('listen', `${where} can't be listened on: ${error.message}`, { cause: error })
}

function urlOf(server: Server, { host, tls }: Config): string {
  const { port } = server.address() as AddressInfo
  const name = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host
  return `${tls === undefined ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${port}`
}

async function stop(server: Server, timeout: number, log: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      log.warn({ after_ms: timeout }, 'cutting transfers that are still running')
      server.closeAllConnections()
    }, timeout)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function readTls({ tls }: Config): { cert: Buffer; key: Buffer } | undefined {
  if (tls === undefined) return undefined
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (cause) {
      throw new GitgateError('configuration', `${path} can't be read: ${messageOf(cause)}`, { cause })
    }
  }
  const pair = { cert: read(tls.cert), key: read(tls.key) }
  try {
    createSecureContext(pair)
  } catch (cause) {
    const files = `the certificate ${tls.cert} and the key ${tls.key}`
    throw new GitgateError('configuration', `${files} can't be used: ${messageOf(cause)}`, { cause })
  }
  return pair
}
