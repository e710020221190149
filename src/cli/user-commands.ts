import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Account, AccountChange } from '../domain/accounts/account.js'
import { checkAccountChange, checkUsername, refuseNameOfGroup } from '../domain/accounts/account.js'
import { GitgateError } from '../core/errors.js'
import { checkPassword } from '../domain/policies/password-use.js'
import { parseRepositoryPath } from '../protocol/repository-path.js'
import type { CliContext, OpenCli, WideOption } from './context.js'
import {
  addCommand,
  openRepositories,
  requireAccount,
  servedFlags,
  timeFormatter,
  withStore,
  WIDE_OPTION,
} from './context.js'
import { confirmDeletion, readNewSecret } from './terminal-input.js'

/** `gitgate user …`: accounts. @returns the group, for `user 2fa` */
export function addUserCommands(program: Command, context: CliContext): Command {
  const group = program.command('user').description('manage accounts')

  addCommand(
    group,
    'add <name>',
    'add an account',
    'printf %s "$PASSWORD" | gitgate user add alice --email alice@example.com --password-stdin',
  )
    .option('--email <address>', 'email address, for notifications')
    .option('--name <name>', 'display name (default: the username)')
    .option('--admin', 'make it an administrator')
    .option('--password-stdin', 'read a password from standard input; without a password, only tokens work')
    .action((username: string, options: AddOptions) =>
      withStore(context, async (cli) => {
        const account = await addAccount(cli, username, options)
        if (options.json === true) {
          cli.output.json(accountEntity(account))
          return
        }
        cli.output.note(
          `Added ${account.username}. To create a token: gitgate token create ${account.username} --name NAME --scopes write_repository`,
        )
      }),
    )

  addCommand(
    group,
    'edit <name>',
    'change an account (but not its username)',
    'gitgate user edit alice --email alice@example.com',
  )
    .option('--email <address>', 'email address, for notifications')
    .option('--no-email', 'remove the email address')
    .option('--name <name>', 'display name')
    .option('--admin', 'make it an administrator')
    .option('--no-admin', 'make it an ordinary account')
    .action((username: string, { json, ...options }: EditOptions) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        await cli.store.accounts.change(cli.auditContext, account.id, changeOf(options))
        await showChanged(cli, username, json, `${account.username} was changed.`)
      }),
    )

  addCommand(group, 'list', 'list accounts', 'gitgate user list').action(({ json }: { json?: true }) =>
    withStore(context, async ({ store, output }) => {
      const accounts = await store.accounts.list()
      if (json === true) {
        output.json(accounts.map(accountEntity))
        return
      }
      output.table(
        ['USERNAME', 'NAME', 'EMAIL', 'STATE', 'ADMIN', '2FA', 'PASSWORD'],
        accounts.map((account) => [
          account.username,
          account.name,
          account.email ?? '-',
          account.state,
          account.admin ? 'yes' : 'no',
          account.twoFactorEnabled ? 'on' : 'off',
          account.passwordHash === null ? 'none' : 'set',
        ]),
        'No accounts yet. Add one: gitgate user add NAME',
      )
    }),
  )

  addCommand(group, 'show <name>', 'show one account', 'gitgate user show alice')
    .option(...WIDE_OPTION)
    .action((username: string, { json, wide }: WideOption & { json?: true }) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        if (json === true) {
          cli.output.json(accountEntity(account))
          return
        }
        const tokens = await cli.store.tokens.list({ userId: account.id })
        cli.output.fields([
          ['Username', account.username],
          ['Name', account.name],
          ['Email', account.email ?? '-'],
          ['State', account.state],
          ['Administrator', account.admin ? 'yes' : 'no'],
          ['Two-factor', account.twoFactorEnabled ? 'on' : 'off'],
          ['Password', account.passwordHash === null ? 'none: only tokens work' : 'set'],
          ['Tokens', `${tokens.length} (gitgate token list --user ${account.username})`],
          ['Created', timeFormatter(cli, wide)(account.createdAt)],
        ])
      }),
    )

  addStateCommand(group, context, 'block', 'blocked')
  addStateCommand(group, context, 'unblock', 'active')

  addCommand(group, 'passwd <name>', 'set the password', 'printf %s "$PASSWORD" | gitgate user passwd alice').action(
    (username: string, { json }: { json?: true }) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        const password = await readNewSecret(cli.terminal, 'password')
        checkPassword(password, account, await cli.settings())
        await cli.store.accounts.setPasswordHash(cli.auditContext, account.id, await cli.passwords.hash(password))
        await showChanged(cli, username, json, `The password of ${account.username} was set.`)
      }),
  )

  addCommand(
    group,
    'delete <name>',
    'delete an account and its tokens; its repositories stay',
    'gitgate user delete alice --yes',
  )
    .option('--yes', "don't ask")
    .action((username: string, options: { yes?: true; json?: true }) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        await confirmDeletion(cli.terminal, `Delete ${account.username} and all its tokens?`, options.yes === true)
        await cli.store.accounts.remove(cli.auditContext, account)
        if (options.json === true) {
          cli.output.json(accountEntity(account))
          return
        }
        cli.output.note(`Deleted ${account.username}. Repositories under ${account.username}/ were kept.`)
      }),
    )
  return group
}

type AddOptions = { email?: string; name?: string; admin?: true; passwordStdin?: true; json?: true }

type EditOptions = { email?: string | false; name?: string; admin?: boolean; json?: true }

/** @throws GitgateError `usage` if no change is given, `invalid` if a value is malformed */
function changeOf({ email, ...options }: Omit<EditOptions, 'json'>): AccountChange {
  const change = email === undefined ? options : { ...options, email: email === false ? null : email }
  if (Object.keys(change).length === 0)
    throw new GitgateError('usage', 'pass what to change: --email, --no-email, --name, --admin or --no-admin')
  checkAccountChange(change)
  return change
}

async function addAccount(cli: OpenCli, username: string, options: AddOptions): Promise<Account> {
  checkUsername(username)
  const name = options.name ?? username
  const email = options.email ?? null
  checkAccountChange({ name, email })
  refuseNameOfGroup(username, await isGroupName(cli, username))
  const password = options.passwordStdin === true ? await readNewSecret(cli.terminal, 'password') : undefined
  if (password !== undefined) checkPassword(password, { username, email }, await cli.settings())
  const passwordHash = password === undefined ? null : await cli.passwords.hash(password)
  return await cli.store.accounts.add(
    cli.auditContext,
    { username, name, email, admin: options.admin === true, passwordHash },
    cli.clock(),
  )
}

/** Whether a repository or group already has this name. */
async function isGroupName(cli: OpenCli, username: string): Promise<boolean> {
  const { upstream, repos } = cli.config(await servedFlags(cli, cli.store))
  // Opening the folder would create it.
  if (upstream !== undefined || !existsSync(repos)) return false
  const repositories = await openRepositories(cli, undefined)
  const path = parseRepositoryPath(username)
  return path !== undefined && (repositories.hasGroup(path) || repositories.has(path))
}

function addStateCommand(
  group: Command,
  context: CliContext,
  name: 'block' | 'unblock',
  state: Account['state'],
): void {
  const summary = name === 'block' ? 'block an account; takes effect immediately' : 'unblock an account'
  addCommand(group, `${name} <name>`, summary, `gitgate user ${name} alice`).action(
    (username: string, { json }: { json?: true }) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        await cli.store.accounts.setState(cli.auditContext, account.id, state)
        await showChanged(
          cli,
          username,
          json,
          `${account.username} is now ${state === 'blocked' ? 'blocked' : 'active'}.`,
        )
      }),
  )
}

async function showChanged(cli: OpenCli, username: string, json: true | undefined, sentence: string): Promise<void> {
  if (json === true) cli.output.json(accountEntity(await requireAccount(cli, username)))
  else cli.output.note(sentence)
}

/** An account as GitLab's API shows it to administrators: for every `--json`, and the API. */
function accountEntity(account: Account) {
  return {
    id: account.id,
    username: account.username,
    name: account.name,
    email: account.email,
    state: account.state,
    is_admin: account.admin,
    two_factor_enabled: account.twoFactorEnabled,
    created_at: account.createdAt.toISOString(),
  }
}
