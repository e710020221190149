import type { Credentials } from '../peers/nginx.js'
import { keepBusy } from '../rounds.js'
import { Connection } from './connection.js'
import { ADVERTISEMENT, gitHeaders, LS_REFS, serviceHeaders } from './git-requests.js'
import { GitOverHttp } from './git-over-http.js'

/** Connections that are open at once. */
export const CONNECTIONS = 8

/** Repeats the same requests over connections that stay open. */
export class Load {
  readonly #requests: readonly Buffer[]
  readonly #connections: readonly Connection[]

  constructor(url: string, requests: readonly Buffer[]) {
    this.#requests = requests
    this.#connections = Array.from({ length: CONNECTIONS }, () => new Connection(url))
  }

  /** @returns how often all of the requests were answered */
  async run(seconds: number): Promise<number> {
    return await keepBusy(CONNECTIONS, seconds, async (client) => {
      for (const request of this.#requests) await this.#connections[client]?.exchange(request)
    })
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

/** The bytes of `git ls-remote`: two requests, or one where the server does not speak version 2. */
export async function lsRemoteRequests(
  url: string,
  path: string,
  credentials: Credentials,
): Promise<readonly Buffer[]> {
  const client = new GitOverHttp(url, path, credentials, 1)
  const speaksVersion2 = await client.speaksVersion2()
  client.close()
  const advertisement = requestBytes(url, credentials, `GET /${path}.git${ADVERTISEMENT}`, { Accept: '*/*' })
  const headers = { ...serviceHeaders('git-upload-pack'), 'Content-Length': String(LS_REFS.length) }
  const lsRefs = requestBytes(url, credentials, `POST /${path}.git/git-upload-pack`, headers, LS_REFS)
  return speaksVersion2 ? [advertisement, lsRefs] : [advertisement]
}

/** The bytes of a health check with the headers that git sends, so that it differs from git's requests in its path alone. */
export function healthRequest(url: string, credentials: Credentials): Buffer {
  return requestBytes(url, credentials, 'GET /-/health', { Accept: '*/*' })
}

function requestBytes(
  url: string,
  credentials: Credentials,
  line: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const all = { Host: new URL(url).host, ...gitHeaders(credentials), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), body])
}
