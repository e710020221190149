import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { GitgateError, messageOf } from './errors.js'
import type { LogLevel } from './log.js'
import { LOG_LEVELS } from './log.js'
import { parseAddressList } from './address-list.js'

/** Everything that is set where the gate starts; what changes while it runs is a setting in the store. */
export type Config = {
  readonly data: string
  readonly keyFile: string | undefined
  readonly host: string
  readonly port: number
  readonly repos: string
  readonly publicUrl: string | undefined
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly trustedProxies: readonly string[]
  readonly realm: string
  readonly git: string | undefined
  readonly logLevel: LogLevel
  readonly bcryptCost: number
  /** Milliseconds. */
  readonly idleTimeout: number
  /** Milliseconds. */
  readonly shutdownTimeout: number
}

/** One way to configure: a variable, a default, a rule. The flag of the same name, if there is one, goes before it. */
type Option<T> = {
  readonly variable: string
  readonly fallback: string | undefined
  /** What it does; for the documentation. */
  readonly summary: string
  /** @throws GitgateError whose message says what the option takes */
  readonly parse: (text: string) => T
}

// The texts are what `docs/configuration.md` lists; a test holds the two together.
export const OPTIONS = {
  data: option('GITGATE_DATA', './data', 'folder of the database and the key', path),
  keyFile: option('GITGATE_KEY_FILE', undefined, 'key that two-factor seeds are encrypted under (`<data>/key`)', path),
  host: option('GITGATE_HOST', '127.0.0.1', 'address to listen on', notEmpty),
  port: option('GITGATE_PORT', '8080', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535)),
  repos: option('GITGATE_REPOS', './repos', 'folder of the bare repositories', path),
  publicUrl: option('GITGATE_PUBLIC_URL', undefined, 'where people reach the gate, if not where it listens', publicUrl),
  tlsCert: option('GITGATE_TLS_CERT', undefined, 'certificate chain in PEM; turns HTTPS on, with the key', path),
  tlsKey: option('GITGATE_TLS_KEY', undefined, 'private key of the certificate, in PEM', path),
  trustedProxies: option(
    'GITGATE_TRUSTED_PROXIES',
    '',
    'addresses and networks whose X-Forwarded-For counts',
    parseAddressList,
  ),
  realm: option('GITGATE_REALM', 'GitGate', 'realm that clients are challenged with', realm),
  git: option('GITGATE_GIT', undefined, 'absolute path of git (the first one in PATH)', path),
  logLevel: option('GITGATE_LOG_LEVEL', 'info', LOG_LEVELS.join(', '), logLevel),
  bcryptCost: option('GITGATE_BCRYPT_COST', '12', 'cost of password hashes', wholeNumber(4, 15)),
  idleTimeout: option(
    'GITGATE_IDLE_TIMEOUT',
    '600',
    'seconds without traffic after which a connection is cut',
    seconds,
  ),
  shutdownTimeout: option('GITGATE_SHUTDOWN_TIMEOUT', '30', 'seconds that running transfers get at the end', seconds),
} as const

export type OptionName = keyof typeof OPTIONS

/** What was given as flags, by option. */
export type Flags = Partial<Record<OptionName, string>>

// Git's hooks run with these two, and the tests with the third; they configure nothing.
const NOT_OPTIONS = new Set(['GITGATE_CONFIG', 'GITGATE_USER', 'GITGATE_TOKEN_ID', 'GITGATE_REQUIRE_ALL'])

/**
 * Puts the configuration together: flags over the environment over the file over the defaults.
 *
 * @param file a configuration file: lines `VARIABLE=value`, comments after `#`
 * @throws GitgateError `configuration`, naming every mistake with its flag, its variable or its line
 */
export function loadConfig(flags: Flags, environment: NodeJS.ProcessEnv, file: string | undefined): Config {
  const mistakes: string[] = []
  const inFile = file === undefined ? new Map<string, Given>() : readFile(file, mistakes)
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('GITGATE_') && !isVariable(variable) && !NOT_OPTIONS.has(variable)) {
      mistakes.push(`the variable ${variable} is not known to this version`)
    }
  }
  const value = <K extends OptionName>(name: K): ReturnType<(typeof OPTIONS)[K]['parse']> | undefined => {
    const { variable, fallback, parse } = OPTIONS[name] as Option<ReturnType<(typeof OPTIONS)[K]['parse']>>
    const given = givenAs(name, flags, environment) ?? inFile.get(variable)
    const text = given?.text ?? fallback
    if (text === undefined) return undefined
    try {
      return parse(text)
    } catch (error) {
      mistakes.push(`${given?.where ?? variable}: ${messageOf(error)}`)
      return undefined
    }
  }
  const values = Object.fromEntries((Object.keys(OPTIONS) as OptionName[]).map((name) => [name, value(name)]))
  const { tlsCert, tlsKey, ...rest } = values as Record<OptionName, unknown>
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    mistakes.push('a certificate and its key go together: --tls-cert and --tls-key')
  if (mistakes.length > 0) throw new GitgateError('configuration', mistakes.join('; '))
  return { ...rest, tls: tlsCert === undefined ? undefined : { cert: tlsCert, key: tlsKey } } as Config
}

/** A value and where it was given. */
type Given = { readonly text: string; readonly where: string }

function givenAs(name: OptionName, flags: Flags, environment: NodeJS.ProcessEnv): Given | undefined {
  const flag = flags[name]
  if (flag !== undefined)
    return { text: flag, where: `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}` }
  const { variable } = OPTIONS[name]
  const text = environment[variable]
  // An empty variable is how many supervisors say "not set".
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
    const [, variable, value] = /^\s*([A-Z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (variable === undefined || value === undefined) mistakes.push(`${where}: not of the form VARIABLE=value`)
    else if (!isVariable(variable)) mistakes.push(`${where}: ${variable} is not known to this version`)
    else given.set(variable, { text: value.replace(/^(["'])(.*)\1$/, '$2'), where })
  }
  return given
}

function isVariable(name: string): boolean {
  return Object.values(OPTIONS).some(({ variable }) => variable === name)
}

function option<T>(
  variable: string,
  fallback: string | undefined,
  summary: string,
  parse: (text: string) => T,
): Option<T> {
  return { variable, fallback, summary, parse }
}

function notEmpty(text: string): string {
  if (text === '') throw new GitgateError('configuration', "can't be empty")
  return text
}

function path(text: string): string {
  return resolve(notEmpty(text))
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
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new GitgateError('configuration', 'takes a URL such as https://git.example.com')
  }
  if (url.username !== '' || url.password !== '')
    throw new GitgateError('configuration', 'must not hold a username or a password')
  if (url.search !== '' || url.hash !== '')
    throw new GitgateError('configuration', 'must not hold a query or a fragment')
  return url.href.replace(/\/+$/, '')
}

function realm(text: string): string {
  if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,80}$/.test(text)) {
    throw new GitgateError('configuration', 'takes up to 80 printable ASCII characters, without quotes and backslashes')
  }
  return text
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((name) => name === text)
  if (level === undefined) throw new GitgateError('configuration', `takes one of ${LOG_LEVELS.join(', ')}`)
  return level
}
