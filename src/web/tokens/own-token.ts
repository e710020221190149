import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { PageError } from '../page-errors.js'
import type { PageOptions } from '../web-options.js'
import { memberOf } from '../principal.js'

/** The number of a token in a path. */
export const TokenId = Type.Object({ id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) })

/** Has a page be there only where tokens are: as in GitLab, there is none while they are switched off. */
export function requireSwitchedOn({ access }: Pick<PageOptions, 'access'>): () => Promise<void> {
  return async () => {
    if ((await access.settings()).disable_personal_access_tokens) throw new PageError('not-found')
  }
}

/** A token of whoever asks. To others it does not exist; neither does one that an administrator made to act as them. @throws PageError */
export async function requireOwnToken(
  request: FastifyRequest,
  id: number,
  { tokens }: Pick<PageOptions, 'tokens'>,
): Promise<PersonalAccessToken> {
  const token = await tokens.find(id)
  if (token?.userId !== memberOf(request).account.id || token.impersonation) throw new PageError('not-found')
  return token
}
