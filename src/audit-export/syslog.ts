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
const SEND_TIMEOUT_MS = 10_000
// Every receiver should accept this size (RFC 5426, 3.2 and RFC 5424, 6.1).
const MAX_DATAGRAM_BYTES = 2_048

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
          const cut = message.subarray(0, MAX_DATAGRAM_BYTES)
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
      const silent = (): void => failed(new Error('the syslog server does not read'))
      connection.setTimeout(SEND_TIMEOUT_MS)
      connection.once('timeout', silent).once('error', failed)
      connection.write(Buffer.concat(counted), (error) => {
        // Removed after each batch: the connection outlives millions of batches.
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
    // The server sends nothing, but only a socket that is read notices that the server has closed it.
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

/** An RFC 5424 message with the action as its MSGID and the event as JSON. */
function messageOf(row: AuditRow): string {
  const priority = LOG_AUDIT + (row.decision === 'allowed' ? INFORMATIONAL : WARNING)
  const head = `<${priority}>1 ${row.at.toISOString()} ${hostname() || '-'} gitgate ${process.pid} ${row.action} -`
  return `${head} ${JSON.stringify(auditEntity(row))}`
}
