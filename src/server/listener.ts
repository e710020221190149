import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { Config } from '../config/config.js'
import type { Connections } from './connections.js'
import { GitgateError, hasSystemCode, messageOf } from '../core/errors.js'
import type { Reloadable } from './file-reloader.js'
import type { Logger } from './log.js'

/**
 * Starts to listen.
 *
 * @returns the URL that it listens on
 * @throws GitgateError `listen`
 */
export async function listen(server: Server, config: Pick<Config, 'host' | 'port' | 'tls'>): Promise<string> {
  const { host, port } = config
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port)))
    server.listen(port, host, resolve)
  })
  return urlOf(server, config)
}

/** Why the gate can't listen there, and what to do. */
export function listenError(error: Error, host: string, port: number): GitgateError {
  const where = `${host}:${port}`
  if (hasSystemCode(error, 'EADDRINUSE')) {
    return new GitgateError(
      'listen',
      `${where} is in use. Is gitgate already running? Stop that program, or choose another --port`,
      { cause: error },
    )
  }
  if (hasSystemCode(error, 'EACCES')) {
    return new GitgateError('listen', `this user can't listen on ${where}; choose a --port above 1023`, {
      cause: error,
    })
  }
  return new GitgateError('listen', `can't listen on ${where}: ${error.message}`, { cause: error })
}

function urlOf(server: Server, { host, tls }: Pick<Config, 'host' | 'tls'>): string {
  const { port } = server.address() as AddressInfo
  const name = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host
  return `${tls === undefined ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${port}`
}

/** Accepts no more requests, gives active ones `timeoutMs` to finish, and cuts the rest. */
export async function stop(server: Server, connections: Connections, timeoutMs: number, log: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      log.warn({ after_ms: timeoutMs }, 'aborting transfers that are still running')
      connections.closeAll()
    }, timeoutMs)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    connections.closeIdle()
  })
}

// Mozilla's "intermediate" configuration (version 5.7) without DHE: forward secrecy and authenticated encryption only. AES-128 comes
// first, since it costs the least CPU.
const CIPHERS = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
].join(':')

/** What an HTTPS server offers. */
export type TlsOptions = {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
  readonly ciphers: string
}

/**
 * Reads the certificate and the key.
 *
 * @throws GitgateError `configuration` if they can't be read or don't match
 */
export function readTls({ tls }: Pick<Config, 'tls'>): TlsOptions | undefined {
  if (tls === undefined) return undefined
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (cause) {
      throw new GitgateError('configuration', `${path} can't be read: ${messageOf(cause)}`, { cause })
    }
  }
  const options = { cert: read(tls.cert), key: read(tls.key), minVersion: 'TLSv1.2', ciphers: CIPHERS } as const
  try {
    createSecureContext(options)
  } catch (cause) {
    const files = `the certificate ${tls.cert} and the key ${tls.key}`
    throw new GitgateError('configuration', `${files} can't be used: ${messageOf(cause)}`, { cause })
  }
  return options
}

/** Certificate and key of a server: connections that it accepts after a reload see the new ones. */
export function reloadableTls(config: Config, server: HttpsServer): Reloadable {
  return {
    what: 'the TLS certificate',
    files: config.tls === undefined ? [] : [config.tls.cert, config.tls.key],
    reload() {
      const options = readTls(config)
      if (options !== undefined) server.setSecureContext(options)
    },
  }
}
