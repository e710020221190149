import type { FastifyRequest } from 'fastify'
import { TOKENS_PAGE } from '../../domain/access/refusal.js'
import type { PageOptions } from '../options.js'
import type { Pages } from '../pages.js'
import { addMaking } from '../tokens/making.js'
import { requireSwitchedOn } from '../tokens/own-token.js'
import { MADE } from '../tokens/reveal.js'
import { memberOf } from '../principal.js'

/** Making a token of one's own. */
export function newTokenPages(pages: Pages, options: PageOptions): void {
  const making = {
    route: TOKENS_PAGE,
    impersonation: false,
    ownerOf: async (request: FastifyRequest) => Promise.resolve(memberOf(request).account),
    listOf: () => TOKENS_PAGE,
    onceOf: () => MADE,
    view: 'token-new',
    preHandler: requireSwitchedOn(options),
  }
  addMaking(pages, making, options)
}
