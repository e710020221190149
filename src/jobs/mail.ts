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

/** The outcome of an attempt. */
export type Attempt =
  | { readonly kind: 'accepted' }
  /** It is no longer wanted, so it wasn't sent. */
  | { readonly kind: 'unwanted'; readonly reason: string }
  /** The receiver will never accept it. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Retry later. `isDown`: other deliveries to the same server would fail, too. */
  | { readonly kind: 'failed'; readonly reason: string; readonly isDown: boolean }

/** Sends mails to a server. */
export type Mailer = {
  send(delivery: Delivery, now: Date, tokensPage: string, signal: AbortSignal): Promise<Attempt>
}

const CONNECT_TIMEOUT_MS = 10 * SECOND
const SOCKET_TIMEOUT_MS = MINUTE / 2
const isLoopback = addressMatcher(['127.0.0.0/8', '::1'])

/** The mailer for the configured server. The default sender is `gitgate@` and the host name. */
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
          // An object isn't parsed, so a name can't smuggle in an address.
          to: { name: notification.recipient.name, address: addressFor(notification) ?? '' },
          subject: content.subject,
          text,
          html,
          date: now,
          // The same for each attempt, so that a receiver can recognise duplicates.
          messageId: `<${delivery.id}.${notification.createdAt.getTime()}@${domainOf(sender)}>`,
          // Prevents automatic replies (RFC 3834).
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
    // A password never crosses a network in the clear. A server on this machine is reached over no network, and seldom has a
    // certificate for its address.
    requireTLS: credentials !== undefined && !isLocal && !implicitTls,
    ignoreTLS: isLocal && !implicitTls,
    ...(credentials === undefined ? {} : { auth: { user: credentials.user, pass: credentials.password.reveal() } }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
  })
}

/** The fields that nodemailer adds to an error. */
type SmtpError = { readonly responseCode?: unknown; readonly command?: unknown }

/** A server that permanently rejects a recipient or a mail (5xx) will do so again. Everything else may be temporary: the server is
 * down or busy (4xx), or is misconfigured and accepts no mail from this gate.
 */
function attemptOf(error: unknown, { credentials }: SmtpServer): Attempt {
  const { responseCode, command } = error as SmtpError
  const reason = withoutSecret(messageOf(error), credentials?.password.reveal())
  const isAboutThis = command === 'RCPT TO' || command === 'DATA'
  if (typeof responseCode === 'number' && responseCode >= 500 && isAboutThis) return { kind: 'refused', reason }
  // A server that drops the connection during one mail may accept the next.
  return { kind: 'failed', reason, isDown: !isAboutThis && !/closed unexpectedly/i.test(reason) }
}

/** Removes the password from a server's message, which might repeat it. */
function withoutSecret(text: string, secret: string | undefined): string {
  const line = text.replace(/\s+/g, ' ').slice(0, 300)
  if (secret === undefined) return line
  const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]
  return forms.reduce((left, form) => left.replaceAll(form, '[SMTP password]'), line)
}

function domainOf({ address }: Mailbox): string {
  return address.slice(address.lastIndexOf('@') + 1)
}
