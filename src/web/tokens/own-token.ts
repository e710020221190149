import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { PageError } from '../page-errors.js'
import type { PageOptions } from '../web-options.js'
import { memberOf } from '../principal.js'

/** The ID of a token in a path. */
export const TokenId = Type.Object({ id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) })

/** A hook that answers 404 while personal access tokens are turned off, as GitLab does. */
export function requireSwitchedOn({ access }: Pick<PageOptions, 'access'>): () => Promise<void> {
  return async () => {
    if ((await access.settings()).disable_personal_access_tokens) throw new PageError('not-found')
  }
}

/** A token of the signed-in user; not one of another account, nor an impersonation token. @throws PageError `not-found` */
export async function requireOwnToken(
  request: FastifyRequest,
  id: number,
  { tokens }: Pick<PageOptions, 'tokens'>,
): Promise<PersonalAccessToken> {
  const token = await tokens.find(id)
  if (token?.userId !== memberOf(request).account.id || token.impersonation) throw new PageError('not-found')
  return token
}
