import type { Command } from 'commander'
import type { Account } from '../domain/accounts/account.js'
import { Passwords } from '../domain/accounts/password.js'
import type { Clock } from '../core/clock.js'
import type { Config, Flags } from '../config/config.js'
import { loadConfig } from '../config/config.js'
import { GitgateError } from '../core/errors.js'
import type { Settings } from '../domain/policies/settings.js'
import { resolveSettings } from '../domain/policies/settings.js'
import { printable } from '../core/printable.js'
import type { Terminal } from './terminal-output.js'
import { Output } from './terminal-output.js'
import type { CliRepositories, CliRooms, CliStore } from './rooms.js'

/** What all commands share. */
export type CliContext = {
  readonly terminal: Terminal
  readonly output: Output
  readonly rooms: CliRooms
  readonly clock: Clock
  /** The configuration, with a command's own flags over the global ones. */
  config(flags?: Flags): Config
}

/** Puts together what all commands share. `globals` tells the global options once they are parsed. */
export function createContext(
  terminal: Terminal,
  rooms: CliRooms,
  clock: Clock,
  globals: () => { data?: string; config?: string },
): CliContext {
  return {
    terminal,
    output: new Output(terminal),
    rooms,
    clock,
    config(flags = {}) {
      const { data, config } = globals()
      const file = config ?? terminal.env['GITGATE_CONFIG']
      return loadConfig({ ...flags, ...(data === undefined ? {} : { data }) }, terminal.env, file)
    },
  }
}

/** What a command works with once the store is open. */
export type OpenCli = CliContext & {
  readonly store: CliStore
  readonly passwords: Passwords
  settings(): Promise<Settings>
}

/** Opens the store, runs the command's work, and closes it again. */
export async function withStore(context: CliContext, work: (cli: OpenCli) => Promise<void>): Promise<void> {
  const config = context.config()
  const store = context.rooms.openStore(config)
  try {
    await work({
      ...context,
      store,
      passwords: new Passwords(context.clock, { cost: config.bcryptCost }),
      settings: async () => resolveSettings(await store.settings.list()),
    })
  } finally {
    await store.close()
  }
}

/**
 * What the gate serves, as flags: what the environment or the file say, else what `serve` did last. The flags of that
 * `serve` are not known to other commands otherwise.
 */
export async function servedFlags(context: CliContext, store: Pick<CliStore, 'facts'>): Promise<Flags> {
  const { given, upstream } = context.config()
  if (given.has('repos') || upstream !== undefined) return {}
  const served = await store.facts.readBackend()
  if (served === undefined) return {}
  return 'root' in served ? { repos: served.root } : { upstream: served.upstream }
}

/** Whether this gate stands before another server. */
export async function isBeforeUpstream(cli: OpenCli): Promise<boolean> {
  return cli.config(await servedFlags(cli, cli.store)).upstream !== undefined
}

/**
 * The repositories of the embedded server: in the folder that was given, or that `serve` used last, or the default.
 *
 * @throws GitgateError `conflict` when no folder was given and the gate stands before another server
 */
export async function openRepositories(cli: OpenCli, given: string | undefined): Promise<CliRepositories> {
  const config = cli.config(given === undefined ? await servedFlags(cli, cli.store) : { repos: given })
  if (given === undefined && config.upstream !== undefined) {
    throw new GitgateError(
      'conflict',
      'the repositories are on the upstream server; to manage those of the embedded server, pass --repos',
    )
  }
  return await cli.rooms.openRepositories(config.repos, config)
}

/**
 * Adds a command to a group.
 *
 * @param usage its name and arguments, as commander writes them
 * @param example a line that works, shown under its help
 */
export function addCommand(group: Command, usage: string, summary: string, example: string): Command {
  return group
    .command(usage)
    .description(summary)
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExample:\n  $ ${example}`)
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
