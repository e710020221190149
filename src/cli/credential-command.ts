import type { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { GitgateError, messageOf } from '../core/errors.js'
import { issueRules } from '../domain/policies/issue-rules.js'
import { printable } from '../core/printable.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { parseRepositoryPath } from '../protocol/repository-path.js'
import { Secret } from '../core/secret.js'
import { deriveToken } from '../domain/tokens/derive.js'
import { parseExpirySpan } from '../domain/tokens/expiry.js'
import { parseScopes } from '../domain/tokens/scope.js'
import { digestSecret } from '../domain/tokens/token-secret.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import { tokenState } from '../domain/tokens/token.js'
import type { CliContext, OpenCli } from './context.js'
import { withStore } from './context.js'
import { readLines } from './input.js'
import type { LimitOptions } from './token-limits.js'
import { addLimitOptions, limitsOf } from './token-limits.js'

type Options = LimitOptions & { tokenFile?: string; url?: string; expiresIn: string; scopes?: string }

/** What git says of where it needs a credential (Git's documentation: git-credential). */
type Wanted = { readonly protocol: string; readonly host: string; readonly path: string; readonly password: string }

/** `gitgate credential`: a credential helper that gives git a token for one operation. */
export function addCredentialCommand(program: Command, context: CliContext): void {
  const command = program
    .command('credential <operation>')
    .description('a Git credential helper: mints a short-lived, narrower token for each operation of git')
    .option('--token-file <file>', 'file with the token to derive from, kept out of the sandbox (GITGATE_TOKEN)')
    .option('--url <url>', 'where people reach the gate; git is answered for no other (GITGATE_PUBLIC_URL)')
    .option('--expires-in <span>', 'how long each token lives', '15m')
    .option('--scopes <list>', "read_repository or write_repository; default: what the token's own scopes allow")
  addLimitOptions(command)
    .addHelpText(
      'after',
      `
Operations, as git gives them: get mints, erase revokes what git found refused, store does nothing.
With credential.useHttpPath each token reaches the one repository that git asks for.

Example:
  $ git config --global credential.https://git.example.com.useHttpPath true
  $ git config --global credential.https://git.example.com.helper \\
      "!gitgate --data /srv/gitgate/data credential --url https://git.example.com --token-file ~/.gitgate-token --ref 'agent/*'"`,
    )
    .action(async (operation: string, options: Options) => {
      const wanted = readWanted(await readLines(context.terminal))
      // Git may come to know other operations; a helper ignores what it does not know.
      if ((operation !== 'get' && operation !== 'erase') || !isForGate(wanted, options, context)) return
      await withStore(context, (cli) => (operation === 'get' ? mint(cli, wanted, options) : erase(cli, wanted)))
    })
}

function readWanted(lines: readonly string[]): Wanted {
  const values = new Map(
    lines.flatMap((line) => {
      const at = line.indexOf('=')
      return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }),
  )
  const value = (key: string): string => values.get(key) ?? ''
  return { protocol: value('protocol'), host: value('host'), path: value('path'), password: value('password') }
}

/** Whether git asks for this gate: to any other host a token would be given away. */
function isForGate({ protocol, host }: Wanted, { url }: Options, context: CliContext): boolean {
  const config = context.config()
  const base = url ?? config.publicUrl ?? `http://${config.host}:${config.port}`
  if (!URL.canParse(base))
    throw new GitgateError('usage', '--url takes the URL of the gate, such as https://git.example.com')
  // What a parser might take for a path, a user or a comment is no host.
  if (!/^[A-Za-z0-9.:[\]-]+$/.test(host)) return false
  const asked = `${protocol}://${host}`
  return URL.canParse(asked) && new URL(asked).origin === new URL(base).origin
}

async function mint(cli: OpenCli, wanted: Wanted, options: Options): Promise<void> {
  const now = cli.clock()
  const settings = await cli.settings()
  const parent = await requireParent(cli, options, settings.enforce_pat_expiration)
  const owner = await cli.store.accounts.find(parent.userId)
  if (owner === undefined) throw new GitgateError('not-found', 'the account of the token is gone')
  const expiry = parseExpirySpan(options.expiresIn, now)
  if (expiry === 'never') throw new GitgateError('usage', '--expires-in takes a span here, such as 15m')
  const path = repositoryOf(wanted.path)
  const limits = limitsOf({ ...options, repo: options.repo ?? (path === undefined ? [] : [path]) })
  const { token, secret } = await deriveToken(
    cli.store.tokens,
    owner,
    parent,
    {
      ...limits,
      expiry,
      description: 'made by gitgate credential',
      ...(options.scopes === undefined ? {} : { scopes: parseScopes(options.scopes) }),
    },
    issueRules(settings, now),
    now,
  )
  cli.output.answer(`username=${owner.username}`)
  cli.output.answer(`password=${secret.reveal()}`)
  if (token.expiresAt !== null) {
    cli.output.answer(`password_expiry_utc=${Math.floor(token.expiresAt.getTime() / 1_000)}`)
  }
}

/** The repository of a path, if git gives one. @throws GitgateError `invalid`: a token for all would be the worst answer */
function repositoryOf(path: string): RepositoryPath | undefined {
  const bare = path.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '')
  if (bare === '') return undefined
  const repository = parseRepositoryPath(bare)
  if (repository === undefined)
    throw new GitgateError('invalid', `"${printable(path)}" is not the path of a repository`)
  return repository
}

/** Revokes what git was refused with, if it is one that was derived here. */
async function erase({ store, clock }: OpenCli, { password }: Wanted): Promise<void> {
  if (password === '') return
  const token = await store.tokens.findByDigest(digestSecret(new Secret(password, 'token')))
  if (token !== undefined && token.parentId !== null) await store.tokens.revoke(token.id, clock())
}

async function requireParent(
  cli: OpenCli,
  { tokenFile }: Options,
  enforceExpiry: boolean,
): Promise<PersonalAccessToken> {
  const text = tokenFile === undefined ? cli.terminal.env['GITGATE_TOKEN'] : readFirstLineOf(tokenFile)
  if (text === undefined || text === '') {
    throw new GitgateError('usage', 'give the token to derive from: --token-file FILE, or GITGATE_TOKEN')
  }
  const token = await cli.store.tokens.findByDigest(digestSecret(new Secret(text, 'token')))
  if (token === undefined) throw new GitgateError('not-found', 'the token to derive from is none of this gate')
  const state = tokenState(token, cli.clock(), enforceExpiry)
  if (state !== 'active') throw new GitgateError('forbidden', `the token to derive from, ${token.id}, is ${state}`)
  return token
}

function readFirstLineOf(file: string): string {
  try {
    return (readFileSync(file, 'utf8').split('\n', 1)[0] ?? '').trim()
  } catch (cause) {
    throw new GitgateError('not-found', `${file} can't be read: ${messageOf(cause)}`, { cause })
  }
}
