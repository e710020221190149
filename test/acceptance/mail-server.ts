import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer } from 'smtp-server'
import type { Test } from 'tap'
import type { Mail } from './mail.js'
import { readMail } from './mail.js'
import { within } from './until.js'

/** How a mail server behaves. */
export type Behaviour = {
  /** What it answers to a recipient, where it does not take them. */
  readonly refuse?: (recipient: string) => { code: number; text: string } | undefined
  /** Whom it can't take a mail for without closing the connection. */
  readonly hangUpOn?: string
  /** What one signs in with; when it is wrong, the answer repeats what was given. */
  readonly password?: string
}

/** A real SMTP server that keeps what it is sent. */
export class MailServer {
  readonly mails: Mail[] = []
  readonly #behaviour: Behaviour
  #server: SMTPServer | undefined
  #port = 0

  private constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour
  }

  /** Starts one on a free port; it ends with the test. */
  static async start(t: Test, behaviour: Behaviour = {}): Promise<MailServer> {
    const server = new MailServer(behaviour)
    await server.up()
    t.teardown(() => server.down())
    return server
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`
  }

  /** Starts it again, on the port that it had. */
  async up(): Promise<void> {
    const server = new SMTPServer({
      authOptional: this.#behaviour.password === undefined,
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, done) => {
        if (password === this.#behaviour.password) done(null, { user: username })
        else done(new Error(`535 ${username ?? ''} can't sign in with ${password ?? ''}`))
      },
      logger: false,
      onRcptTo: ({ address }, _session, done) => {
        const refusal = this.#behaviour.refuse?.(address)
        done(refusal === undefined ? null : Object.assign(new Error(refusal.text), { responseCode: refusal.code }))
      },
      onData: (stream, session, done) => {
        const isBad = session.envelope.rcptTo.some(({ address }) => address === this.#behaviour.hangUpOn)
        // The server's own list of its connections, which it gives no type.
        const connections = server.connections as unknown as ReadonlySet<{ readonly _socket: Socket }>
        if (isBad) for (const { _socket: socket } of connections) socket.destroy()
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          const recipients = session.envelope.rcptTo.map(({ address }) => address)
          this.mails.push(readMail(Buffer.concat(chunks).toString('latin1'), recipients))
          done()
        })
      },
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', () => resolve()))
    this.#port = (server.server.address() as AddressInfo).port
  }

  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  /** The mails whose subject holds a text. */
  about(subject: string): Mail[] {
    return this.mails.filter((mail) => mail.subject.includes(subject))
  }

  /** Waits until there are so many of them, and returns them. */
  async waitFor(subject: string, count = 1): Promise<Mail[]> {
    if (!(await within(5_000, () => this.about(subject).length >= count))) {
      const subjects = this.mails.map((mail) => mail.subject).join('; ')
      throw new Error(`no ${count} mails about "${subject}"; there are: ${subjects}`)
    }
    return this.about(subject)
  }
}
