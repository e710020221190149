import { GitgateError } from '../core/errors.js'
import { hasUnprintable } from '../core/printable.js'
import { Secret } from '../core/secret.js'

/** The mail server. */
export type SmtpServer = {
  readonly host: string
  readonly port: number
  /** TLS from the start; otherwise STARTTLS if the server offers it. */
  readonly implicitTls: boolean
  readonly credentials: { readonly user: string; readonly password: Secret } | undefined
}

/** An optional name, and an address. */
export type Mailbox = { readonly name: string; readonly address: string }

const PORTS: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 }
const MAILBOX = /^(?:([^<>]*)<([^\s@<>",;:\\]+@[^\s@<>",;:\\]+)>|([^\s@<>",;:\\]+@[^\s@<>",;:\\]+))$/

/**
 * Parses the URL of a mail server. Error messages never repeat it, because it may contain a password.
 *
 * @throws GitgateError `configuration`
 */
export function parseSmtpServer(text: string): SmtpServer {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const port = url === undefined ? undefined : PORTS[url.protocol]
  if (url === undefined || port === undefined || url.hostname === '') {
    throw new GitgateError(
      'configuration',
      'takes a URL such as smtp://mail.example.com:587, or smtps://USER:PASSWORD@mail.example.com',
    )
  }
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '')
    throw new GitgateError('configuration', "can't have a path, query or fragment")
  if ((url.username === '') !== (url.password === ''))
    throw new GitgateError('configuration', 'takes both a username and a password, or neither')
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? port : Number(url.port),
    implicitTls: url.protocol === 'smtps:',
    credentials: url.username === '' ? undefined : credentialsOf(url),
  }
}

function credentialsOf(url: URL): SmtpServer['credentials'] {
  try {
    const password = new Secret(decodeURIComponent(url.password), 'SMTP password')
    return { user: decodeURIComponent(url.username), password }
  } catch {
    throw new GitgateError('configuration', 'must write a % in the username or password as %25')
  }
}

/**
 * Parses the sender of emails: an address, or a name and an address in angle brackets.
 *
 * @throws GitgateError `configuration`
 */
export function parseMailbox(text: string): Mailbox {
  const [, name = '', bracketed, bare] = MAILBOX.exec(text.trim()) ?? []
  const address = bracketed ?? bare
  if (address === undefined || hasUnprintable(text))
    throw new GitgateError('configuration', 'takes an address such as GitGate <gitgate@example.com>')
  return { name: name.trim().replace(/^"(.*)"$/, '$1'), address }
}
