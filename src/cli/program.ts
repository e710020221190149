import { Command, CommanderError } from 'commander'
import type { Clock } from '../core/clock.js'
import { GitgateError, messageOf } from '../core/errors.js'
import { replaceUnprintable } from '../core/printable.js'
import { readVersion } from '../core/version.js'
import { addAccessCommands } from './access-commands.js'
import { addAuditCommands } from './audit-commands.js'
import { addBackupCommand } from './backup-command.js'
import { createContext } from './context.js'
import { addCredentialCommand } from './credential-command.js'
import { addDoctorCommand } from './doctor-command.js'
import type { Terminal } from './terminal-output.js'
import { addJobsCommands } from './jobs-commands.js'
import { addUserNotificationsCommand } from './user-notifications-command.js'
import { addProtectCommands } from './protect-commands.js'
import { addQuickstartCommand } from './quickstart-command.js'
import { addRepoCommands } from './repo-commands.js'
import { addRestoreCommand } from './restore-command.js'
import type { CliDependencies } from './dependencies.js'
import { addServeCommand } from './serve-command.js'
import { addSettingsCommands } from './settings-commands.js'
import { addCacheCommands } from './cache-commands.js'
import { addTokenCommands } from './token-commands.js'
import { addTokenReportCommands } from './token-report-commands.js'
import { addTwoFactorCommands } from './two-factor-commands.js'
import { addUserCommands } from './user-commands.js'
import { addWebhookCommands } from './webhook-commands.js'

const USAGE_ERROR = 2
const GLOBAL_OPTIONS = ['--data', '--config']

/**
 * The command line.
 *
 * @param args the arguments after the program's name
 * @returns the exit status: 0 for success, 1 for failure, 2 for wrong usage
 */
export async function runCli(
  args: readonly string[],
  terminal: Terminal,
  dependencies: CliDependencies,
  clock: Clock,
): Promise<number> {
  const program = new Command('gitgate')
    .description('Personal access tokens in front of any Git HTTP server.')
    .version(readVersion())
    .option('--config <file>', 'configuration file with VARIABLE=value lines (GITGATE_CONFIG)')
    .option('--data <folder>', 'folder for the database and the key (GITGATE_DATA; default: ./data)')
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .addHelpText(
      'after',
      '\nTo get started:\n  $ gitgate quickstart\n  $ TOKEN=$(gitgate token create alice --name ci --scopes read_repository)',
    )
  const context = createContext(terminal, dependencies, clock, () => program.opts())

  addQuickstartCommand(program, context)
  addServeCommand(program, context)
  const user = addUserCommands(program, context)
  addTwoFactorCommands(user, context)
  addUserNotificationsCommand(user, context)
  addTokenReportCommands(addTokenCommands(program, context), context)
  addAccessCommands(program, context)
  addProtectCommands(program, context)
  addRepoCommands(program, context)
  addSettingsCommands(program, context)
  addAuditCommands(program, context)
  addCacheCommands(program, context)
  addJobsCommands(program, context)
  addWebhookCommands(program, context)
  addCredentialCommand(program, context)
  addBackupCommand(program, context)
  addRestoreCommand(program, context)
  addDoctorCommand(program, context)
  everyCommand(program, (command) => {
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      // `report` prints errors, as one line.
      outputError: () => undefined,
    })
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return 0
  } catch (error) {
    return report(error, args, context.output)
  }
}

/** Prints the error of a command as one line that says what to do, without a stack. */
function report(error: unknown, args: readonly string[], output: { note(line: string): void }): number {
  if (error instanceof CommanderError) {
    // commander also throws for --help and --version, and after the help of a group without a command.
    if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode === 0 ? 0 : USAGE_ERROR
    const message = oneLine(error.message.replace(/^error: /, ''))
    const isMisplaced =
      error.code === 'commander.unknownOption' &&
      args.some((arg) => GLOBAL_OPTIONS.some((name) => arg === name || arg.startsWith(`${name}=`)))
    output.note(`gitgate: ${message}${isMisplaced ? '; global options go before the command' : ''}`)
    return USAGE_ERROR
  }
  output.note(`gitgate: ${oneLine(messageOf(error))}`)
  return error instanceof GitgateError && error.code === 'usage' ? USAGE_ERROR : 1
}

/** Messages quote arguments, which must not control the terminal. */
function oneLine(text: string): string {
  return replaceUnprintable(text.replaceAll('\n', ' '))
}

function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command)
  for (const child of command.commands) everyCommand(child, visit)
}
