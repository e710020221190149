import { GitgateError } from '../core/errors.js'
import type { Advice } from '../domain/policies/advice.js'
import { describeAdvice } from '../domain/policies/advice.js'
import { tokenEntity, tokenState } from '../domain/tokens/token.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { OpenCli, WideOption } from './context.js'
import { requireId, timeFormatter } from './context.js'
import { limitFields } from './token-limit-options.js'

/** Shows everything about a token. @param advice how to improve it */
export async function showToken(
  cli: OpenCli,
  token: PersonalAccessToken,
  { json, wide }: WideOption & { json?: true },
  advice?: readonly Advice[],
): Promise<void> {
  const { username } = await requireOwner(cli, token)
  if (json === true) {
    cli.output.json({
      ...(await entityOf(cli, token)),
      user: username,
      ...(advice && { advice: advice.map(describeAdvice) }),
    })
    return
  }
  const settings = await cli.settings()
  const formatTime = timeFormatter(cli, wide)
  cli.output.fields([
    ['ID', String(token.id)],
    ['Name', token.name],
    ['Description', token.description ?? '-'],
    ['User', username],
    ['Scopes', token.scopes.join(', ')],
    ...(token.impersonation ? [['Impersonation', 'lets an administrator act as the account'] as const] : []),
    ...limitFields(token),
    ['State', tokenState(token, cli.clock(), settings.enforce_pat_expiration)],
    ['Created', formatTime(token.createdAt)],
    ...(token.revokedAt === null ? [] : [['Revoked', formatTime(token.revokedAt)] as const]),
    ['Expires', token.expiresAt === null ? 'never' : formatTime(token.expiresAt)],
    ['Last used', token.lastUsedAt === null ? 'never' : formatTime(token.lastUsedAt)],
    ['Addresses', token.lastUsedIps.join(', ') || '-'],
    ...(advice ?? []).map((one) => ['Advice', describeAdvice(one)] as const),
  ])
}

/** A token as `--json` prints it. */
export async function entityOf(cli: OpenCli, token: PersonalAccessToken) {
  const settings = await cli.settings()
  return tokenEntity(token, cli.clock(), settings.enforce_pat_expiration)
}

/** @throws GitgateError `not-found` */
export async function requireToken({ store }: OpenCli, id: string): Promise<PersonalAccessToken> {
  const token = await store.tokens.find(requireId(id))
  if (token !== undefined) return token
  throw new GitgateError('not-found', `there is no token ${id}; to list tokens: gitgate token list`)
}

/** The account of a token. @throws GitgateError `not-found` */
export async function requireOwner({ store }: OpenCli, token: PersonalAccessToken) {
  const owner = await store.accounts.find(token.userId)
  if (owner === undefined) throw new GitgateError('not-found', `the account of token ${token.id} no longer exists`)
  return owner
}
