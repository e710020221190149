import { hostname } from 'node:os'
import type { Transporter } from 'nodemailer'
import { MINUTE, SECOND } from '../core/clock.js'
import { addressMatcher } from '../core/address-list.js'
import { messageOf } from '../core/errors.js'
import type { Mailbox, SmtpServer } from '../config/smtp-url.js'
import type { Delivery } from '../domain/notifications/delivery.js'
import { createEmailContent } from '../domain/notifications/email-content.js'
import { addressFor } from '../domain/notifications/notification.js'
import { renderEmail } from '../domain/notifications/render-email.js'
import type { JobsOptions } from './jobs-options.js'

/** What became of a try. */
export type Attempt =
  | { readonly kind: 'accepted' }
  /** It is to go nowhere any more, and was not tried. */
  | { readonly kind: 'unwanted'; readonly reason: string }
  /** It will never be taken. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Try again later. `isDown`: others to the same server will fail, too. */
  | { readonly kind: 'failed'; readonly reason: string; readonly isDown: boolean }

/** Hands mails to a server. */
export type Mailer = {
  send(delivery: Delivery, now: Date, tokensPage: string, signal: AbortSignal): Promise<Attempt>
}

const CONNECT_TIMEOUT_MS = 10 * SECOND
const SOCKET_TIMEOUT_MS = MINUTE / 2
const isLoopback = addressMatcher(['127.0.0.0/8', '::1'])

/** The mailer for the server that is configured. The sender's default is `gitgate@` this machine's name. */
export function mailerOf({ config }: JobsOptions): Mailer | undefined {
  return config.smtp === undefined ? undefined : createMailer(config.smtp, config.mailFrom)
}

function createMailer(server: SmtpServer, from: Mailbox | undefined): Mailer {
  const sender = from ?? { name: 'GitGate', address: `gitgate@${hostname()}` }
  let transport: Transporter | undefined
  return {
    async send(delivery, now, tokensPage, signal) {
      const { notification } = delivery
      const content = createEmailContent(notification, now, tokensPage)
      const { text, html } = await renderEmail(content)
      transport ??= await openTransport(server)
      try {
        await transport.sendMail({
          from: sender,
          // An object, and not a text that is parsed: whatever a name holds, it stays a name.
          to: { name: notification.recipient.name, address: addressFor(notification) ?? '' },
          subject: content.subject,
          text,
          html,
          date: now,
          // The same at each try, so that one that came twice is known.
          messageId: `<${delivery.id}.${notification.createdAt.getTime()}@${domainOf(sender)}>`,
          // No vacation message must answer (RFC 3834).
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
          disableFileAccess: true,
          disableUrlAccess: true,
          signal,
        })
        return { kind: 'accepted' }
      } catch (error) {
        return attemptOf(error, server)
      }
    },
  }
}

async function openTransport({ host, port, implicitTls, credentials }: SmtpServer): Promise<Transporter> {
  const { createTransport } = await import('nodemailer')
  const isLocal = host === 'localhost' || isLoopback(host)
  return createTransport({
    host,
    port,
    secure: implicitTls,
    // A password never goes over a line in the clear. A server on this machine is reached over none, and seldom has a
    // certificate for it.
    requireTLS: credentials !== undefined && !isLocal && !implicitTls,
    ignoreTLS: isLocal && !implicitTls,
    ...(credentials === undefined ? {} : { auth: { user: credentials.user, pass: credentials.password.reveal() } }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
  })
}

/** What nodemailer tells of a failure. */
type SmtpError = { readonly responseCode?: unknown; readonly command?: unknown }

/**
 * A server that refuses a recipient or a mail for good (5xx) will do so again. All else may pass: it is down, or busy (4xx), or
 * set up wrongly, so that it takes no mail of ours at all.
 */
function attemptOf(error: unknown, { credentials }: SmtpServer): Attempt {
  const { responseCode, command } = error as SmtpError
  const reason = withoutSecret(messageOf(error), credentials?.password.reveal())
  const isAboutThis = command === 'RCPT TO' || command === 'DATA'
  if (typeof responseCode === 'number' && responseCode >= 500 && isAboutThis) return { kind: 'refused', reason }
  // A server that hangs up on one mail may take the next.
  return { kind: 'failed', reason, isDown: !isAboutThis && !/closed unexpectedly/i.test(reason) }
}

/** A server might repeat what it was told. */
function withoutSecret(text: string, secret: string | undefined): string {
  const line = text.replace(/\s+/g, ' ').slice(0, 300)
  if (secret === undefined) return line
  const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]
  return forms.reduce((left, form) => left.replaceAll(form, '[SMTP password]'), line)
}

function domainOf({ address }: Mailbox): string {
  return address.slice(address.lastIndexOf('@') + 1)
}
