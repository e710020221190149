import type { Command } from 'commander'
import type { WantedExpiry } from '../domain/tokens/expiry.js'
import { parseExpiryDate, parseExpirySpan, parseSpan } from '../domain/tokens/expiry.js'
import type { IssuedToken } from '../domain/tokens/issue.js'
import { issueToken, rotateToken } from '../domain/tokens/issue.js'
import { REF_VERBS } from '../domain/tokens/restriction.js'
import { ALL_SCOPES, parseScopes, scopeSummary } from '../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import { tokenState } from '../domain/tokens/token.js'
import { GitgateError } from '../core/errors.js'
import { issueRules } from '../domain/policies/settings.js'
import type { CliContext, OpenCli, WideOption } from './context.js'
import { addCommand, requireAccount, timeFormatter, withStore, WIDE_OPTION } from './context.js'
import type { LimitOptions } from './token-limit-options.js'
import { addLimitOptions, describeLimits, limitsOf } from './token-limit-options.js'
import { entityOf, requireOwner, requireToken, showToken } from './show-token.js'

type RotateOptions = ExpiryOptions & { grace?: string }
type ExpiryOptions = { expiresAt?: string; expiresIn?: string; json?: true }
type CreateOptions = ExpiryOptions &
  LimitOptions & { name: string; scopes: string; description?: string; impersonation?: true }
type ListOptions = WideOption & { user?: string; state?: string; json?: true }

/** `gitgate token …`: personal access tokens. */
export function addTokenCommands(program: Command, context: CliContext): Command {
  const group = program.command('token').description('manage personal access tokens')

  const create = addCommand(
    group,
    'create <user>',
    'create a token and print its secret once, alone on standard output',
    'TOKEN=$(gitgate token create alice --name ci --scopes read_repository --expires-in 90d)',
  )
  addLimitOptions(addExpiryOptions(create))
    .requiredOption('--name <name>', 'what it is for')
    .requiredOption(
      '--scopes <list>',
      'comma-separated scopes: read_repository to clone, write_repository to clone and push',
    )
    .option('--description <text>', 'longer description')
    .option('--impersonation', "let administrators act as the account; its user doesn't see the token")
    .addHelpText(
      'after',
      `\nA token for a coding agent that can push only to its own branches in one repository:\n  $ gitgate token create alice --name agent --scopes write_repository --repo team/app --ref 'agent/*' --expires-in 12h --max-pushes 20\n\nChanges that a ref rule can allow: ${REF_VERBS.join(', ')} (force: updates that are not fast-forwards). The default is create and update.\n\nScopes:\n${ALL_SCOPES.map((scope) => `  ${scope.padEnd(18)}${scopeSummary(scope)}`).join('\n')}`,
    )
    .action((username: string, options: CreateOptions) =>
      withStore(context, async (cli) => {
        const owner = await requireAccount(cli, username)
        const now = cli.clock()
        const rules = issueRules(await cli.settings(), now)
        const draft = {
          name: options.name,
          description: options.description ?? null,
          scopes: parseScopes(options.scopes),
          impersonation: options.impersonation === true,
          ...limitsOf(options),
          expiry: wantedExpiry(options, now),
        }
        const issued = await issueToken(cli.store.tokens, cli.auditContext, owner, draft, rules, now)
        await showIssued(cli, issued, owner.username, options.json)
      }),
    )

  addCommand(group, 'list', 'list tokens', 'gitgate token list --user alice --state active')
    .option(...WIDE_OPTION)
    .option('--user <name>', 'only tokens of this account')
    .option('--state <state>', 'only active or only inactive tokens')
    .action((options: ListOptions) => withStore(context, (cli) => listTokens(cli, options)))

  addCommand(group, 'show <id>', 'show one token', 'gitgate token show 7')
    .option(...WIDE_OPTION)
    .action((id: string, options: WideOption & { json?: true }) =>
      withStore(context, async (cli) => showToken(cli, await requireToken(cli, id), options)),
    )

  addCommand(
    group,
    'revoke <id>',
    'revoke a token permanently; takes effect immediately',
    'gitgate token revoke 7',
  ).action((id: string, { json }: { json?: true }) =>
    withStore(context, async (cli) => {
      const token = await requireToken(cli, id)
      const wasActive = await cli.store.tokens.revoke(cli.auditContext, token.id, cli.clock())
      if (json === true) return showToken(cli, await requireToken(cli, id), { json })
      cli.output.note(
        wasActive
          ? `Token ${token.id} (${token.name}) was revoked.`
          : `Token ${token.id} (${token.name}) was already revoked.`,
      )
    }),
  )

  addExpiryOptions(
    addCommand(
      group,
      'rotate <id>',
      'replace a token with a new one that has the same name, scopes and limits',
      'TOKEN=$(gitgate token rotate 7 --expires-in 90d)',
    ),
  )
    .option('--grace <span>', 'how long the old token keeps working: 24h')
    .action((id: string, options: RotateOptions) =>
      withStore(context, async (cli) => {
        const old = await requireToken(cli, id)
        const owner = await requireOwner(cli, old)
        const now = cli.clock()
        const rules = issueRules(await cli.settings(), now)
        const grace = options.grace === undefined ? 0 : parseSpan(options.grace)
        const issued = await rotateToken(
          cli.store.tokens,
          cli.auditContext,
          owner,
          old,
          wantedExpiry(options, now),
          rules,
          now,
          grace,
        )
        if (grace > 0)
          noteGracePeriod(cli, old, new Date(Math.min(now.getTime() + grace, old.expiresAt?.getTime() ?? Infinity)))
        await showIssued(cli, issued, owner.username, options.json)
      }),
    )
  return group
}

function addExpiryOptions(command: Command): Command {
  return command
    .option('--expires-at <date>', 'YYYY-MM-DD; expires when that day begins in UTC')
    .option('--expires-in <span>', '90s, 15m, 12h, 30d or never')
}

function wantedExpiry({ expiresAt, expiresIn }: ExpiryOptions, now: Date): WantedExpiry {
  if (expiresAt !== undefined && expiresIn !== undefined) {
    throw new GitgateError('usage', '--expires-at and --expires-in exclude each other')
  }
  if (expiresAt !== undefined) return parseExpiryDate(expiresAt)
  return expiresIn === undefined ? undefined : parseExpirySpan(expiresIn, now)
}

async function showIssued(
  cli: OpenCli,
  { token, secret }: IssuedToken,
  user: string,
  json: true | undefined,
): Promise<void> {
  const expiry = token.expiresAt === null ? 'never expires' : `expires at ${token.expiresAt.toISOString()}`
  const words = describeLimits(token)
  const limits = words === '-' ? '' : `only ${words}; `
  if (json === true) {
    const { id, name, ...rest } = await entityOf(cli, token)
    cli.output.json({ id, name, token: secret.reveal(), user, ...rest })
    return
  }
  cli.output.note(
    `Token ${token.id} (${token.name}) of ${user}: ${token.scopes.join(', ')}; ${limits}${expiry}. Copy it now, you won't see it again:`,
  )
  cli.output.answer(secret.reveal())
}

/** Says how long the old secret works, and who used it. */
function noteGracePeriod(cli: OpenCli, { id, lastUsedAt, lastUsedIps }: PersonalAccessToken, until: Date): void {
  const use =
    lastUsedAt === null
      ? 'It has never been used.'
      : `It was last used at ${lastUsedAt.toISOString()}, from ${lastUsedIps.join(', ')}.`
  cli.output.note(
    `The old token works until ${until.toISOString()}. ${use} To see who still uses it: gitgate token show ${id}`,
  )
}

async function listTokens(cli: OpenCli, { user, state, json, wide }: ListOptions): Promise<void> {
  if (state !== undefined && state !== 'active' && state !== 'inactive') {
    throw new GitgateError('usage', '--state takes active or inactive')
  }
  const owner = user === undefined ? undefined : await requireAccount(cli, user)
  const tokens = await cli.store.tokens.list(owner === undefined ? {} : { userId: owner.id })
  const entities = await Promise.all(tokens.map(async (token) => ({ token, entity: await entityOf(cli, token) })))
  const shown = entities.filter(({ entity }) => state === undefined || entity.active === (state === 'active'))
  if (json === true) {
    cli.output.json(shown.map(({ entity }) => entity))
    return
  }
  const usernames = new Map((await cli.store.accounts.list()).map(({ id, username }) => [id, username]))
  const current = await cli.settings()
  const formatTime = timeFormatter(cli, wide)
  cli.output.table(
    ['ID', 'USER', 'NAME', 'SCOPES', 'LIMITED TO', 'STATE', 'EXPIRES', 'LAST USED'],
    shown.map(({ token }) => [
      String(token.id),
      usernames.get(token.userId) ?? '?',
      token.name,
      token.scopes.join(','),
      describeLimits(token),
      tokenState(token, cli.clock(), current.enforce_pat_expiration),
      token.expiresAt === null ? 'never' : formatTime(token.expiresAt),
      token.lastUsedAt === null ? 'never' : formatTime(token.lastUsedAt),
    ]),
    'No tokens. Create one: gitgate token create USER --name NAME --scopes read_repository',
  )
}
