import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Grant, Role } from '../../domain/access/grant.js'
import { AccessibleRepositories } from '../../domain/access/accessible-repositories.js'
import type { PageOptions } from '../web-options.js'
import { SearchedList, pagerOf, windowOf } from '../pager.js'
import type { Pages } from '../pages.js'
import { memberOf } from '../principal.js'

const PER_PAGE = 50

/** The start page: the repositories that the user can read, with the commands that clone them. */
export function repositoryPages(pages: Pages, { access, listRepositories }: PageOptions): void {
  const Query = Type.Object(SearchedList)

  for (const path of ['/', '/-/repositories'] as const)
    pages.get(path, { schema: { querystring: Query } }, async (request, reply) => {
      const { account } = memberOf(request)
      const { search = '' } = request.query
      const accountAccess = await access.accessOf(account)
      if (!accountAccess.ownsGroup) return showPatterns(reply, accountAccess.grants, search)
      const readable = new AccessibleRepositories(await listRepositories(), accountAccess.grants).list(account.username)
      const found = search === '' ? readable : readable.filter((one) => isFound(one.path, search))
      const window = windowOf(request.query, PER_PAGE)
      return reply.page('repositories', {
        repositories: found.slice(window.offset, window.offset + window.limit),
        pager: pagerOf(window, found.length, request.url),
        search,
        isEmpty: readable.length === 0,
        canCreate: (await access.settings()).push_to_create,
      })
    })
}

/** An upstream can't list its repositories, so the page shows the patterns of the user's grants. */
function showPatterns(reply: FastifyReply, grants: readonly Grant[], search: string) {
  const strongest = new Map<string, { pattern: string; role: Role }>()
  for (const { pattern, role } of grants.toSorted((one, other) => RANK.indexOf(one.role) - RANK.indexOf(other.role)))
    strongest.set(pattern, { pattern, role })
  const patterns = [...strongest.values()].toSorted((one, other) => one.pattern.localeCompare(other.pattern, 'en'))
  return reply.page('repository-patterns', {
    patterns: patterns.filter(({ pattern }) => isFound(pattern, search)),
    search,
    isEmpty: patterns.length === 0,
  })
}

const RANK: readonly Role[] = ['read', 'write', 'admin']

function isFound(text: string, search: string): boolean {
  return text.toLowerCase().includes(search.trim().toLowerCase())
}
