import type { FastifyRequest } from 'fastify'
import { TOKENS_PAGE } from '../../domain/access/refusal.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { addTokenCreation } from '../tokens/token-creation.js'
import { requireSwitchedOn } from '../tokens/own-token.js'
import { NEW_TOKEN } from '../tokens/one-time-token.js'
import { memberOf } from '../principal.js'

/** Creating a token for one's own account. */
export function newTokenPages(pages: Pages, options: PageOptions): void {
  const creation = {
    route: TOKENS_PAGE,
    impersonation: false,
    ownerOf: async (request: FastifyRequest) => Promise.resolve(memberOf(request).account),
    listOf: () => TOKENS_PAGE,
    onceOf: () => NEW_TOKEN,
    view: 'token-new',
    preHandler: requireSwitchedOn(options),
  }
  addTokenCreation(pages, creation, options)
}
