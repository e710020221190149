import type { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { GitgateError, messageOf } from '../core/errors.js'
import { issueRules } from '../domain/policies/settings.js'
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
import { readLines } from './terminal-input.js'
import type { LimitOptions } from './token-limit-options.js'
import { addLimitOptions, limitsOf } from './token-limit-options.js'

type Options = LimitOptions & { tokenFile?: string; url?: string; expiresIn: string; scopes?: string }

/** What Git needs a credential for (gitcredentials(7), git-credential(1)). */
type CredentialRequest = {
  readonly protocol: string
  readonly host: string
  readonly path: string
  readonly password: string
}

/** `gitgate credential`: a credential helper that gives Git a token for one operation. */
export function addCredentialCommand(program: Command, context: CliContext): void {
  const command = program
    .command('credential <operation>')
    .description('Git credential helper that creates a short-lived, restricted token for each Git operation')
    .option('--token-file <file>', 'file with the token to derive from; keep it outside the sandbox (GITGATE_TOKEN)')
    .option('--url <url>', 'public URL of the gate; requests for other hosts get no answer (GITGATE_PUBLIC_URL)')
    .option('--expires-in <span>', 'lifetime of each token', '15m')
    .option('--scopes <list>', "read_repository or write_repository; default: the token's own scopes")
  addLimitOptions(command)
    .addHelpText(
      'after',
      `
Git passes the operation: get creates a token, erase revokes one that was refused, store does nothing.
With credential.useHttpPath, each token is limited to the repository that Git asks for.

Example:
  $ git config --global credential.https://git.example.com.useHttpPath true
  $ git config --global credential.https://git.example.com.helper \\
      "!gitgate --data /srv/gitgate/data credential --url https://git.example.com --token-file ~/.gitgate-token --ref 'agent/*'"`,
    )
    .action(async (operation: string, options: Options) => {
      const request = parseCredentialRequest(await readLines(context.terminal))
      // gitcredentials(7): a helper ignores operations that it does not know.
      if ((operation !== 'get' && operation !== 'erase') || !isForGate(request, options, context)) return
      await withStore(context, (cli) => (operation === 'get' ? mint(cli, request, options) : erase(cli, request)))
    })
}

function parseCredentialRequest(lines: readonly string[]): CredentialRequest {
  const values = new Map(
    lines.flatMap((line) => {
      const at = line.indexOf('=')
      return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }),
  )
  const value = (key: string): string => values.get(key) ?? ''
  return { protocol: value('protocol'), host: value('host'), path: value('path'), password: value('password') }
}

/** Whether Git asks for this gate. Any other host must not get a token. */
function isForGate({ protocol, host }: CredentialRequest, { url }: Options, context: CliContext): boolean {
  const config = context.config()
  const base = url ?? config.publicUrl ?? `http://${config.host}:${config.port}`
  if (!URL.canParse(base))
    throw new GitgateError('usage', '--url takes the URL of the gate, such as https://git.example.com')
  // The URL parser must not find a path, a user or a fragment in it.
  if (!/^[A-Za-z0-9.:[\]-]+$/.test(host)) return false
  const origin = `${protocol}://${host}`
  return URL.canParse(origin) && new URL(origin).origin === new URL(base).origin
}

async function mint(cli: OpenCli, request: CredentialRequest, options: Options): Promise<void> {
  const now = cli.clock()
  const settings = await cli.settings()
  const parent = await requireParent(cli, options, settings.enforce_pat_expiration)
  const owner = await cli.store.accounts.find(parent.userId)
  if (owner === undefined) throw new GitgateError('not-found', 'the account of the token no longer exists')
  const expiry = parseExpirySpan(options.expiresIn, now)
  if (expiry === 'never') throw new GitgateError('usage', '--expires-in takes a duration, such as 15m')
  const path = repositoryOf(request.path)
  const limits = limitsOf({ ...options, repo: options.repo ?? (path === undefined ? [] : [path]) })
  const { token, secret } = await deriveToken(
    cli.store.tokens,
    cli.auditContext,
    owner,
    parent,
    {
      ...limits,
      expiry,
      description: 'created by gitgate credential',
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

/**
 * The repository of the path, if Git sends one.
 *
 * @throws GitgateError `invalid` for a malformed path; ignoring it would create a token for all repositories
 */
function repositoryOf(path: string): RepositoryPath | undefined {
  const bare = path.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '')
  if (bare === '') return undefined
  const repository = parseRepositoryPath(bare, 'upstream')
  if (repository === undefined) throw new GitgateError('invalid', `"${printable(path)}" is not a repository path`)
  return repository
}

/** Revokes a refused token, if this helper derived it. */
async function erase({ store, auditContext, clock }: OpenCli, { password }: CredentialRequest): Promise<void> {
  if (password === '') return
  const token = await store.tokens.findByDigest(digestSecret(new Secret(password, 'token')))
  if (token !== undefined && token.parentId !== null) await store.tokens.revoke(auditContext, token.id, clock())
}

async function requireParent(
  cli: OpenCli,
  { tokenFile }: Options,
  enforceExpiry: boolean,
): Promise<PersonalAccessToken> {
  const text = tokenFile === undefined ? cli.terminal.env['GITGATE_TOKEN'] : readFirstLineOf(tokenFile)
  if (text === undefined || text === '') {
    throw new GitgateError('usage', 'pass the token to derive from: --token-file FILE or GITGATE_TOKEN')
  }
  const token = await cli.store.tokens.findByDigest(digestSecret(new Secret(text, 'token')))
  if (token === undefined) throw new GitgateError('not-found', "this gate doesn't know the token to derive from")
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
