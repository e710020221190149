import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { Agent, request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import type { Credentials } from '../peers/nginx.js'
import { ADVERTISEMENT, AGENT, DELIMITER, encode, serviceHeaders, FLUSH, gitHeaders, LS_REFS } from './git-requests.js'

/** What came back. */
export type Answer = { readonly bytes: number; readonly body: Buffer }

// As large as what git reads at once.
const CHUNK = 65_536
// Less is a refusal in Git's own words.
const SMALLEST_PACK = 1_000

/**
 * Speaks Git's protocol version 2 to one repository as git does, but makes nothing of the answers: what is measured is the
 * server. Keeps its connections alive.
 */
export class GitOverHttp {
  readonly #url: string
  readonly #headers: OutgoingHttpHeaders
  readonly #agent: Agent

  /** @param connections the most that are open at once */
  constructor(url: string, path: string, credentials: Credentials, connections: number) {
    this.#url = `${url}/${path}.git`
    const options = { keepAlive: true, maxSockets: connections }
    // The certificate is one that the run has made.
    this.#agent = this.#isSecure ? new SecureAgent({ ...options, rejectUnauthorized: false }) : new Agent(options)
    this.#headers = gitHeaders(credentials)
  }

  /** Whether the server supports the requested version. */
  async speaksVersion2(): Promise<boolean> {
    return (await this.#advertisement()).body.includes('version 2')
  }

  /** The three requests of a whole clone. @returns the size of the pack */
  async clone(): Promise<number> {
    await this.#advertisement()
    const refs = await this.#post('git-upload-pack', LS_REFS, true)
    const oids = new Set(refs.body.toString('latin1').match(/(?<=\n|^)[0-9a-f]{4}[0-9a-f]{40}(?= )/g))
    const wants = [...oids].map((text) => `want ${text.slice(4)}\n`)
    const lines = [
      'command=fetch',
      AGENT,
      'object-format=sha1',
      DELIMITER,
      'thin-pack',
      'ofs-delta',
      ...wants,
      'done\n',
    ]
    const { bytes } = await this.#post('git-upload-pack', encode([...lines, FLUSH]), false)
    if (wants.length === 0 || bytes < SMALLEST_PACK) throw new Error(`${this.#url} sent no pack`)
    return bytes
  }

  /** Pushes a pack as the first commit of `main`. */
  async push(oid: string, pack: string): Promise<void> {
    const command = `${'0'.repeat(40)} ${oid} refs/heads/main\0 report-status side-band-64k object-format=sha1 ${AGENT}`
    const head = encode([command, FLUSH])
    const { body } = await this.#post('git-receive-pack', head, true, createReadStream(pack, { highWaterMark: CHUNK }))
    if (!body.includes('unpack ok')) throw new Error(`the push was not taken: ${body.toString('latin1').slice(0, 300)}`)
  }

  close(): void {
    this.#agent.destroy()
  }

  #advertisement(): Promise<Answer> {
    return this.#send('GET', ADVERTISEMENT, { Accept: '*/*' }, true)
  }

  #post(service: string, head: Buffer, kept: boolean, pack?: Readable): Promise<Answer> {
    const headers = {
      ...serviceHeaders(service),
      ...(pack === undefined ? { 'Content-Length': head.length } : {}),
    }
    return this.#send('POST', `/${service}`, headers, kept, head, pack)
  }

  get #isSecure(): boolean {
    return this.#url.startsWith('https:')
  }

  async #send(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    kept: boolean,
    head?: Buffer,
    rest?: Readable,
  ): Promise<Answer> {
    const send = this.#isSecure ? secureRequest : request
    const call = send(`${this.#url}${path}`, {
      method,
      agent: this.#agent,
      headers: { ...this.#headers, ...headers },
    })
    const answered = once(call, 'response') as Promise<[IncomingMessage]>
    if (rest === undefined) call.end(head)
    else {
      call.write(head)
      rest.pipe(call)
    }
    const [answer] = await answered
    if (answer.statusCode !== 200) throw new Error(`${this.#url}${path} answered ${String(answer.statusCode)}`)
    let bytes = 0
    const chunks: Buffer[] = []
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (kept) chunks.push(chunk)
    })
    await once(answer, 'end')
    const body = Buffer.concat(chunks)
    // What is kept is small; that a server compresses it is a part of what is measured.
    return { bytes, body: answer.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body }
  }
}
