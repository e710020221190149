import { readFileSync } from 'node:fs'
import type { LogLevel, OptionName, OptionValue } from './options.js'
import { OPTIONS } from './options.js'
import { GitgateError, messageOf } from '../core/errors.js'
import type { Mailbox, SmtpServer } from './smtp-url.js'
import type { Secret } from '../core/secret.js'

/** What is fixed when the gate starts. What changes while it runs is a setting in the store. */
export type Config = {
  /** The options set by a flag, a variable or the file, rather than left at their defaults. */
  readonly given: ReadonlySet<OptionName>
  /** The flags and the file as environment variables, for a process with the same configuration. */
  readonly variables: Readonly<Record<string, string>>
  readonly data: string
  readonly keyFile: string | undefined
  readonly host: string
  readonly port: number
  readonly repos: string
  /** The upstream; `undefined`: the embedded server. */
  readonly upstream: UpstreamConfig | undefined
  /** Whether the upstream answers all accounts the same. */
  readonly upstreamSameForAll: boolean
  /** Whether the response cache is on. */
  readonly cache: boolean
  /** Concurrent Git processes for packs, in all and on one repository, and requests that may wait for them. */
  readonly queue: { readonly total: number; readonly perRepository: number; readonly waiting: number }
  /** Maximum size of the cache in bytes. */
  readonly cacheSize: number
  readonly publicUrl: string | undefined
  readonly tls: KeyPair | undefined
  /** Port on which to redirect plain HTTP to HTTPS. */
  readonly httpRedirectPort: number | undefined
  /** Whether to send `Strict-Transport-Security` over HTTPS. */
  readonly hsts: boolean
  /** The mail server; without one, emails wait. */
  readonly smtp: SmtpServer | undefined
  readonly mailFrom: Mailbox | undefined
  readonly trustedProxies: readonly string[]
  readonly metricsAllow: readonly string[]
  /** Connections that one address may hold; trusted proxies may hold any number. */
  readonly connectionsPerAddress: number
  /** Number of worker processes. */
  readonly workers: number
  readonly realm: string
  readonly git: string | undefined
  readonly logLevel: LogLevel
  /** A file's path, or the URL of a syslog server. */
  readonly auditLog: string | URL | undefined
  /** Percent of the audit log. */
  readonly auditPruneShare: number
  readonly bcryptCost: number
  /** Milliseconds. */
  readonly idleTimeout: number
  /** Milliseconds. */
  readonly shutdownTimeout: number
}

/** Paths of a certificate chain and its private key. */
export type KeyPair = { readonly cert: string; readonly key: string }

/** The Git server behind the gate, and how to reach it. */
export type UpstreamConfig = {
  readonly url: URL
  /** The `Authorization` header to send. */
  readonly authorization: Secret | undefined
  /** The file that it was read from. */
  readonly authorizationFile: string | undefined
  /** A file with the certificates of a private CA. */
  readonly ca: string | undefined
  /** Files with the gate's client certificate and its key. */
  readonly clientCertificate: KeyPair | undefined
  /** Milliseconds. */
  readonly headersTimeout: number
}

/** Flags, by option. */
export type Flags = Partial<Record<OptionName, string>>

// Hooks run with some of these, and the tests with the last two. They configure nothing.
const NOT_OPTIONS = new Set([
  'GITGATE_CONFIG',
  'GITGATE_USER',
  'GITGATE_TOKEN',
  'GITGATE_TOKEN_ID',
  'GITGATE_REQUIRE_ALL',
  'GITGATE_REFTABLE_GIT',
])

/**
 * Loads the configuration: flags override the environment, which overrides the file, which overrides the defaults.
 *
 * @param file a configuration file: lines `VARIABLE=value`, comments after `#`
 * @throws GitgateError `configuration`, naming every mistake with its flag, variable or line
 */
export function loadConfig(flags: Flags, environment: NodeJS.ProcessEnv, file: string | undefined): Config {
  const mistakes: string[] = []
  const inFile = file === undefined ? new Map<string, Given>() : readFile(file, mistakes)
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('GITGATE_') && !isVariable(variable) && !NOT_OPTIONS.has(variable)) {
      mistakes.push(`the variable ${variable} is not known to this version`)
    }
  }
  const chosen = new Set<OptionName>()
  const read = <K extends OptionName>(name: K): OptionValue<K> => {
    const { variable, fallback, parse } = OPTIONS[name]
    const given = givenAs(name, flags, environment) ?? inFile.get(variable)
    if (given !== undefined) chosen.add(name)
    const text = given?.text ?? fallback
    try {
      return (text === undefined ? undefined : parse(text)) as OptionValue<K>
    } catch (error) {
      mistakes.push(`${given?.where ?? variable}: ${messageOf(error)}`)
      // Never used: a configuration with mistakes is refused below.
      return undefined as OptionValue<K>
    }
  }
  const config: Config = {
    given: chosen,
    variables: variablesOf(flags, file),
    data: read('data'),
    keyFile: read('keyFile'),
    host: read('host'),
    port: read('port'),
    repos: read('repos'),
    upstream: upstreamOf(read, mistakes),
    upstreamSameForAll: read('upstreamSameForAll'),
    cache: read('cache'),
    queue: {
      total: read('gitRuns'),
      perRepository: read('gitRunsPerRepository'),
      waiting: read('gitWaiting'),
    },
    cacheSize: read('cacheSize'),
    publicUrl: read('publicUrl'),
    tls: pairOf(read('tlsCert'), read('tlsKey'), '--tls-cert and --tls-key', mistakes),
    httpRedirectPort: read('httpRedirectPort'),
    hsts: read('hsts'),
    smtp: read('smtpUrl'),
    mailFrom: read('mailFrom'),
    trustedProxies: read('trustedProxies'),
    metricsAllow: read('metricsAllow'),
    connectionsPerAddress: read('connectionsPerAddress'),
    workers: read('workers'),
    realm: read('realm'),
    git: read('git'),
    logLevel: read('logLevel'),
    auditLog: read('auditLog'),
    auditPruneShare: read('auditPruneShare'),
    bcryptCost: read('bcryptCost'),
    idleTimeout: read('idleTimeout'),
    shutdownTimeout: read('shutdownTimeout'),
  }
  if (config.upstream !== undefined && flags.repos !== undefined) {
    mistakes.push('--repos is for the embedded server, and --upstream for another: give one of them')
  }
  if (config.httpRedirectPort !== undefined && config.tls === undefined && mistakes.length === 0) {
    mistakes.push('--http-redirect-port needs HTTPS: --tls-cert and --tls-key')
  }
  if (mistakes.length > 0) throw new GitgateError('configuration', mistakes.join('; '))
  return config
}

function variablesOf(flags: Flags, file: string | undefined): Record<string, string> {
  const variables: Record<string, string> = file === undefined ? {} : { GITGATE_CONFIG: file }
  for (const name of Object.keys(OPTIONS) as OptionName[]) {
    const text = flags[name]
    if (text !== undefined) variables[OPTIONS[name].variable] = text
  }
  return variables
}

type Read = <K extends OptionName>(name: K) => OptionValue<K>

function upstreamOf(read: Read, mistakes: string[]): UpstreamConfig | undefined {
  const url = read('upstream')
  const file = read('upstreamAuthorizationFile')
  const authorization = file === undefined ? read('upstreamAuthorization') : authorizationIn(file, mistakes)
  const variables = `${OPTIONS.upstreamClientCert.variable} and ${OPTIONS.upstreamClientKey.variable}`
  const clientCertificate = pairOf(read('upstreamClientCert'), read('upstreamClientKey'), variables, mistakes)
  const [ca, headersTimeout] = [read('upstreamCa'), read('upstreamTimeout')]
  if (url === undefined) return undefined
  if (clientCertificate !== undefined && url.protocol !== 'https:')
    mistakes.push(`${variables} need an https:// upstream`)
  return { url, authorization, authorizationFile: file, ca, clientCertificate, headersTimeout }
}

function authorizationIn(file: string, mistakes: string[]): Secret | undefined {
  try {
    return readUpstreamAuthorization(file)
  } catch (error) {
    mistakes.push(messageOf(error))
    return undefined
  }
}

/** Reads the `Authorization` header for the upstream. @throws GitgateError `configuration` */
export function readUpstreamAuthorization(file: string): Secret {
  try {
    return OPTIONS.upstreamAuthorization.parse(readFileSync(file, 'utf8').trim())
  } catch (cause) {
    throw new GitgateError('configuration', `${file}: ${messageOf(cause)}`, { cause })
  }
}

function pairOf(
  cert: string | undefined,
  key: string | undefined,
  names: string,
  mistakes: string[],
): KeyPair | undefined {
  if (cert !== undefined && key !== undefined) return { cert, key }
  if (cert !== key) mistakes.push(`a certificate and its key go together: ${names}`)
  return undefined
}

/** A value and its source. */
type Given = { readonly text: string; readonly where: string }

function givenAs(name: OptionName, flags: Flags, environment: NodeJS.ProcessEnv): Given | undefined {
  const flag = flags[name]
  if (flag !== undefined)
    return { text: flag, where: `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}` }
  const { variable } = OPTIONS[name]
  const text = environment[variable]
  // Many supervisors say "not set" with an empty variable.
  return text === undefined || text === '' ? undefined : { text, where: variable }
}

function readFile(file: string, mistakes: string[]): Map<string, Given> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new GitgateError('configuration', `the configuration file ${file} can't be read: ${messageOf(cause)}`, {
      cause,
    })
  }
  const given = new Map<string, Given>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const where = `${file}:${index + 1}`
    if (/^\s*(#.*)?$/.test(line)) continue
    const [, variable, value] = /^\s*([A-Z_]+)\s*=(.*)$/.exec(line) ?? []
    if (variable === undefined || value === undefined) mistakes.push(`${where}: not of the form VARIABLE=value`)
    else if (!isVariable(variable)) mistakes.push(`${where}: ${variable} is not known to this version`)
    else given.set(variable, { text: value.trim().replace(/^(["'])(.*)\1$/, '$2'), where })
  }
  return given
}

function isVariable(name: string): boolean {
  return Object.values(OPTIONS).some(({ variable }) => variable === name)
}
