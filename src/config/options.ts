import { resolve } from 'node:path'
import { parseAddressList } from '../core/address-list.js'
import { GitgateError } from '../core/errors.js'
import { parseMailbox, parseSmtpServer } from './smtp-url.js'
import { Secret } from '../core/secret.js'

/** Log levels. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** A configuration option. A flag of the same name, if there is one, overrides the variable. */
type Option<T, F extends string | undefined> = {
  readonly variable: string
  readonly fallback: F
  /** Description, for the documentation. */
  readonly summary: string
  /** @throws GitgateError with a message that says what the option takes */
  readonly parse: (text: string) => T
}

// `docs/configuration.md` lists these; a test compares the two.
export const OPTIONS = {
  data: option('GITGATE_DATA', './data', 'folder of the database and the key', path),
  keyFile: option(
    'GITGATE_KEY_FILE',
    undefined,
    'file with the key that encrypts secrets and signs the audit log (default: `<data>/key`)',
    path,
  ),
  host: option('GITGATE_HOST', '127.0.0.1', 'address to listen on', host),
  port: option('GITGATE_PORT', '8080', 'port to listen on; 0 picks a free one', wholeNumber(0, 65_535)),
  repos: option('GITGATE_REPOS', './repos', 'folder of the bare repositories', path),
  upstream: option('GITGATE_UPSTREAM', undefined, 'URL of the Git server behind the gate', upstreamUrl),
  upstreamAuthorization: option(
    'GITGATE_UPSTREAM_AUTHORIZATION',
    undefined,
    'Authorization header to send to the upstream',
    header,
  ),
  upstreamAuthorizationFile: option(
    'GITGATE_UPSTREAM_AUTHORIZATION_FILE',
    undefined,
    'file that contains that header',
    path,
  ),
  upstreamCa: option(
    'GITGATE_UPSTREAM_CA',
    undefined,
    'PEM file of the certificates to trust for an HTTPS upstream',
    path,
  ),
  upstreamClientCert: option(
    'GITGATE_UPSTREAM_CLIENT_CERT',
    undefined,
    'PEM file of the client certificate chain for an HTTPS upstream',
    path,
  ),
  upstreamClientKey: option('GITGATE_UPSTREAM_CLIENT_KEY', undefined, 'PEM file of its private key', path),
  upstreamTimeout: option(
    'GITGATE_UPSTREAM_TIMEOUT',
    '60',
    'seconds that the upstream may take to begin its response',
    seconds,
  ),
  upstreamSameForAll: option(
    'GITGATE_UPSTREAM_SAME_FOR_ALL',
    'off',
    'on: the upstream answers every account the same way, so that accounts share cache entries',
    onOrOff,
  ),
  workers: option('GITGATE_WORKERS', '1', 'processes that serve on one port', wholeNumber(1, 64)),
  cache: option('GITGATE_CACHE', 'on', "off: don't answer from the cache", onOrOff),
  gitRuns: option(
    'GITGATE_GIT_RUNS',
    '16',
    'Git processes that compute packs at the same time; further requests wait',
    wholeNumber(1, 10_000),
  ),
  gitRunsPerRepository: option(
    'GITGATE_GIT_RUNS_PER_REPOSITORY',
    '8',
    'how many of those on one repository',
    wholeNumber(1, 10_000),
  ),
  gitWaiting: option(
    'GITGATE_GIT_WAITING',
    '500',
    'requests of each kind that may wait for a slot; further ones are refused',
    wholeNumber(0, 100_000),
  ),
  cacheSize: option('GITGATE_CACHE_SIZE', '2G', 'maximum size of the cache in `<data>/cache`', size),
  publicUrl: option(
    'GITGATE_PUBLIC_URL',
    undefined,
    'URL at which users reach the gate, if it differs from the listening address',
    publicUrl,
  ),
  tlsCert: option(
    'GITGATE_TLS_CERT',
    undefined,
    'PEM file of the certificate chain; enables HTTPS, together with the key',
    path,
  ),
  tlsKey: option('GITGATE_TLS_KEY', undefined, "PEM file of the certificate's private key", path),
  httpRedirectPort: option(
    'GITGATE_HTTP_REDIRECT_PORT',
    undefined,
    'port on which to redirect plain HTTP to HTTPS; 0 picks a free one',
    wholeNumber(0, 65_535),
  ),
  hsts: option('GITGATE_HSTS', 'on', "off: don't send Strict-Transport-Security to browsers over HTTPS", onOrOff),
  smtpUrl: option('GITGATE_SMTP_URL', undefined, 'mail server that sends notifications', parseSmtpServer),
  mailFrom: option('GITGATE_MAIL_FROM', undefined, 'sender of mails', parseMailbox),
  trustedProxies: option(
    'GITGATE_TRUSTED_PROXIES',
    '',
    'addresses and networks whose X-Forwarded-For and X-Forwarded-Proto gitgate believes',
    parseAddressList,
  ),
  metricsAllow: option(
    'GITGATE_METRICS_ALLOW',
    '127.0.0.0/8, ::1',
    'addresses and networks that may read `/-/metrics`',
    parseAddressList,
  ),
  connectionsPerAddress: option(
    'GITGATE_CONNECTIONS_PER_ADDRESS',
    '256',
    'connections that one address may hold in each worker; trusted proxies are exempt',
    wholeNumber(1, 1_000_000),
  ),
  realm: option('GITGATE_REALM', 'GitGate', 'realm in the authentication challenge', realm),
  git: option('GITGATE_GIT', undefined, 'absolute path of Git (default: the first in PATH)', path),
  logLevel: option('GITGATE_LOG_LEVEL', 'info', LOG_LEVELS.join(', '), logLevel),
  auditLog: option(
    'GITGATE_AUDIT_LOG',
    undefined,
    'export target of the audit log: a file of JSON lines, `syslog://host:514` or `syslog+tcp://host:601`',
    auditTarget,
  ),
  auditPruneShare: option(
    'GITGATE_AUDIT_PRUNE_SHARE',
    '10',
    'percent of the audit log that the setting `audit_retention` may delete in one night',
    wholeNumber(1, 100),
  ),
  bcryptCost: option('GITGATE_BCRYPT_COST', '12', 'cost of password hashes', wholeNumber(4, 15)),
  idleTimeout: option(
    'GITGATE_IDLE_TIMEOUT',
    '600',
    'seconds without traffic after which gitgate closes a connection',
    seconds,
  ),
  shutdownTimeout: option(
    'GITGATE_SHUTDOWN_TIMEOUT',
    '30',
    'seconds that active transfers get when the gate stops',
    seconds,
  ),
} as const

export type OptionName = keyof typeof OPTIONS

/** The parsed value of an option; `undefined` if it is not given and has no default. */
export type OptionValue<K extends OptionName> =
  ReturnType<(typeof OPTIONS)[K]['parse']> | (undefined extends (typeof OPTIONS)[K]['fallback'] ? undefined : never)

function option<T, const F extends string | undefined>(
  variable: string,
  fallback: F,
  summary: string,
  parse: (text: string) => T,
): Option<T, F> {
  return { variable, fallback, summary, parse }
}

function notEmpty(text: string): string {
  if (text === '') throw new GitgateError('configuration', "can't be empty")
  return text
}

/** An address or a name; an IPv6 address also as in a URL, `[::1]`. */
function host(text: string): string {
  return notEmpty(/^\[(.*)\]$/.exec(text)?.[1] ?? text)
}

function path(text: string): string {
  return resolve(notEmpty(text))
}

function onOrOff(text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on'
  throw new GitgateError('configuration', 'takes on or off')
}

const SIZES: Readonly<Record<string, number>> = { M: 1_048_576, G: 1_073_741_824 }

function size(text: string): number {
  const [, digits, unit = ''] = /^([1-9]\d{0,5})([MG])$/.exec(text) ?? []
  const bytes = Number(digits) * (SIZES[unit] ?? Number.NaN)
  if (Number.isNaN(bytes)) throw new GitgateError('configuration', 'takes a size such as 500M or 2G')
  return bytes
}

function auditTarget(text: string): string | URL {
  if (!text.includes('://')) return path(text)
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSyslog = url !== undefined && ['syslog:', 'syslog+tcp:'].includes(url.protocol) && url.hostname !== ''
  if (!isSyslog || url.username !== '' || !['', '/'].includes(url.pathname))
    throw new GitgateError('configuration', 'takes a file, or syslog://host:514, or syslog+tcp://host:601')
  return url
}

function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (Number.isNaN(value) || value < min || value > max) {
      throw new GitgateError('configuration', `takes a whole number from ${min} to ${max}`)
    }
    return value
  }
}

function seconds(text: string): number {
  return wholeNumber(1, 86_400)(text) * 1_000
}

function publicUrl(text: string): string {
  const url = parseHttpUrl(text, 'https://git.example.com')
  if (url.username !== '' || url.password !== '')
    throw new GitgateError('configuration', "can't contain a username or password")
  return url.href.replace(/\/+$/, '')
}

function realm(text: string): string {
  if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,80}$/.test(text)) {
    throw new GitgateError('configuration', 'takes up to 80 printable ASCII characters without quotes or backslashes')
  }
  return text
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((name) => name === text)
  if (level === undefined) throw new GitgateError('configuration', `takes one of ${LOG_LEVELS.join(', ')}`)
  return level
}

function upstreamUrl(text: string): URL {
  const url = parseHttpUrl(text, 'http://127.0.0.1:9000')
  if (url.username !== '' || url.password !== '') {
    throw new GitgateError(
      'configuration',
      "can't contain a username or password; put the credential into GITGATE_UPSTREAM_AUTHORIZATION",
    )
  }
  url.pathname = url.pathname.replace(/\/+$/, '')
  return url
}

function parseHttpUrl(text: string, example: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new GitgateError('configuration', `takes a URL such as ${example}`)
  }
  if (url.search !== '' || url.hash !== '') throw new GitgateError('configuration', "can't have a query or fragment")
  return url
}

function header(text: string): Secret {
  if (!/^[\x21-\x7e]+( [\x20-\x7e]+)?$/.test(text)) {
    throw new GitgateError('configuration', 'takes a complete header, such as Basic dXNlcjpwYXNzd29yZA==')
  }
  return new Secret(text, 'upstream authorization')
}
