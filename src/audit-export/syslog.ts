import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import { auditEntity } from '../domain/audit/render-event.js'
import type { AuditRow } from '../domain/audit/event.js'
import type { AuditTarget } from './follower.js'

// Facility 13 (log audit), severity 6 (informational) or 4 (warning): RFC 5424, 6.2.1.
const LOG_AUDIT = 13 * 8
const INFORMATIONAL = 6
const WARNING = 4
const DEFAULT_PORT = 514
const SENDING_TIMEOUT = 10_000
// What one datagram holds, and every receiver should take (RFC 5426, 3.2 and RFC 5424, 6.1).
const MAX_DATAGRAM = 2_048

/** A syslog server: `syslog://host:514` by UDP (RFC 5426), `syslog+tcp://host:601` by TCP with counted octets (RFC 6587). */
export class SyslogTarget implements AuditTarget {
  readonly name: string
  readonly #url: URL
  #connection: Socket | undefined

  constructor(url: URL) {
    this.#url = url
    this.name = url.href
  }

  async write(rows: readonly AuditRow[]): Promise<void> {
    const messages = rows.map((row) => Buffer.from(messageOf(row)))
    if (this.#url.protocol === 'syslog+tcp:') await this.#stream(messages)
    else await this.#send(messages)
  }

  close(): void {
    this.#connection?.destroy()
  }

  async #send(messages: readonly Buffer[]): Promise<void> {
    const socket = createSocket(this.#host.includes(':') ? 'udp6' : 'udp4')
    try {
      for (const message of messages) {
        await new Promise<void>((resolve, reject) => {
          const cut = message.subarray(0, MAX_DATAGRAM)
          socket.send(cut, this.#port, this.#host, (error) => (error === null ? resolve() : reject(error)))
        })
      }
    } finally {
      socket.close()
    }
  }

  async #stream(messages: readonly Buffer[]): Promise<void> {
    const connection = (this.#connection ??= this.#connect())
    const counted = messages.flatMap((message) => [Buffer.from(`${message.length} `), message])
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void => {
        connection.destroy()
        this.#connection = undefined
        reject(error)
      }
      const silent = (): void => failed(new Error('the syslog server takes nothing'))
      connection.setTimeout(SENDING_TIMEOUT)
      connection.once('timeout', silent).once('error', failed)
      connection.write(Buffer.concat(counted), (error) => {
        // Both, for each batch: the connection outlives millions of them.
        connection.off('timeout', silent).off('error', failed)
        connection.setTimeout(0)
        if (error) failed(error)
        else resolve()
      })
    })
  }

  #connect(): Socket {
    const connection = connect(this.#port, this.#host).unref()
    const forget = (): void => {
      if (this.#connection === connection) this.#connection = undefined
    }
    connection.on('error', forget).on('close', forget)
    // The server says nothing; a closed connection is only seen by reading.
    connection.resume()
    return connection
  }

  get #host(): string {
    return this.#url.hostname.replace(/^\[|\]$/g, '')
  }

  get #port(): number {
    return this.#url.port === '' ? DEFAULT_PORT : Number(this.#url.port)
  }
}

/** A message of RFC 5424: the action as its id, the row as JSON after it. */
function messageOf(row: AuditRow): string {
  const priority = LOG_AUDIT + (row.decision === 'allowed' ? INFORMATIONAL : WARNING)
  const head = `<${priority}>1 ${row.at.toISOString()} ${hostname() || '-'} gitgate ${process.pid} ${row.action} -`
  return `${head} ${JSON.stringify(auditEntity(row))}`
}
