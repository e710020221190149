import type { Command } from 'commander'
import type { Account } from '../domain/accounts/account.js'
import type { AuditContext } from '../domain/audit/event.js'
import { Passwords } from '../domain/accounts/password.js'
import type { Clock } from '../core/clock.js'
import { relativeTime } from '../core/clock.js'
import type { Config, Flags } from '../config/config.js'
import { loadConfig } from '../config/config.js'
import { GitgateError } from '../core/errors.js'
import { parseSince } from '../domain/tokens/expiry.js'
import type { Settings } from '../domain/policies/settings.js'
import { resolveSettings } from '../domain/policies/settings.js'
import { printable } from '../core/printable.js'
import type { Terminal } from './terminal-output.js'
import { Output } from './terminal-output.js'
import type { CliRepositories, CliDependencies, CliStore } from './dependencies.js'

/** What every command is handed. */
export type CliContext = {
  readonly terminal: Terminal
  readonly output: Output
  readonly dependencies: CliDependencies
  readonly clock: Clock
  /** The configuration; a command's own flags override it. */
  config(flags?: Flags): Config
}

/** @param globals reads the global options, once they are parsed */
export function createContext(
  terminal: Terminal,
  dependencies: CliDependencies,
  clock: Clock,
  globals: () => { data?: string; config?: string },
): CliContext {
  return {
    terminal,
    output: new Output(terminal),
    dependencies,
    clock,
    config(flags = {}) {
      const { data, config } = globals()
      const file = config ?? terminal.env['GITGATE_CONFIG']
      return loadConfig({ ...flags, ...(data === undefined ? {} : { data }) }, terminal.env, file)
    },
  }
}

/** The context of a command with the store open. */
export type OpenCli = CliContext & {
  readonly store: CliStore
  /** For changes on behalf of the user who runs the command. */
  readonly auditContext: AuditContext
  readonly passwords: Passwords
  settings(): Promise<Settings>
}

/** Opens the store, runs the command, and closes the store. */
export async function withStore(context: CliContext, work: (cli: OpenCli) => Promise<void> | void): Promise<void> {
  const config = context.config()
  const store = context.dependencies.openStore(config)
  try {
    await work({
      ...context,
      store,
      auditContext: { actor: context.dependencies.operator },
      passwords: new Passwords(context.clock, { cost: config.bcryptCost }),
      settings: async () => resolveSettings(await store.settings.list()),
    })
  } finally {
    await store.close()
  }
}

/**
 * What the gate serves, as flags. Without a configured repository folder or upstream it is what `serve` served last,
 * because other commands can't see the flags of that `serve`.
 */
export async function servedFlags(context: CliContext, store: Pick<CliStore, 'facts'>): Promise<Flags> {
  const { given, upstream } = context.config()
  if (given.has('repos') || upstream !== undefined) return {}
  const served = await store.facts.readBackend()
  if (served === undefined) return {}
  return 'root' in served ? { repos: served.root } : { upstream: served.upstream }
}

/** Whether this gate forwards to an upstream. */
export async function isBeforeUpstream(cli: OpenCli): Promise<boolean> {
  return cli.config(await servedFlags(cli, cli.store)).upstream !== undefined
}

/**
 * Opens the repositories of the embedded server, in the given folder, the one that `serve` used last, or the default.
 *
 * @throws GitgateError `conflict` if no folder is given and the gate forwards to an upstream
 */
export async function openRepositories(cli: OpenCli, given: string | undefined): Promise<CliRepositories> {
  const config = cli.config(given === undefined ? await servedFlags(cli, cli.store) : { repos: given })
  if (given === undefined && config.upstream !== undefined) {
    throw new GitgateError(
      'conflict',
      'the repositories are on the upstream server; to manage those of the embedded server, pass --repos',
    )
  }
  return await cli.dependencies.openRepositories(config.repos, config)
}

/**
 * Adds a command to a group.
 *
 * @param usage its name and arguments, in commander's syntax
 * @param example a command line that works, shown in its help
 */
export function addCommand(group: Command, usage: string, summary: string, example: string): Command {
  return group
    .command(usage)
    .description(summary)
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExample:\n  $ ${example}`)
}

export type WideOption = { wide?: true }

/** The option of commands that show times. */
export const WIDE_OPTION = ['--wide', 'show exact times instead of "3 days ago"'] as const

/** Returns how a command shows times: relative to now, or exactly with `--wide`. */
export function timeFormatter({ clock }: CliContext, wide: true | undefined): (instant: Date) => string {
  const now = clock()
  return (instant) => (wide === true ? instant.toISOString() : relativeTime(instant, now))
}

/** @throws GitgateError `not-found` */
export async function requireAccount({ store }: OpenCli, username: string): Promise<Account> {
  const account = await store.accounts.findByUsername(username)
  if (account !== undefined) return account
  throw new GitgateError(
    'not-found',
    `there is no user "${printable(username)}"; to list users: gitgate user list; to add one: gitgate user add`,
  )
}

/** @throws GitgateError `usage` */
export function requireId(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new GitgateError('usage', `"${printable(text)}" is not an ID; to list tokens: gitgate token list`)
}

/**
 * Parses an option that takes a date, an instant or an age such as `7d`.
 *
 * @param option its name, for the error message
 * @throws GitgateError `usage`
 */
export function parseTimeOption(option: string, text: string, now: Date): Date {
  try {
    return parseSince(text, now)
  } catch (error) {
    if (error instanceof GitgateError) throw new GitgateError('usage', `${option}: ${error.message}`)
    throw error
  }
}
