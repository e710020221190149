import { Type } from 'typebox'
import { Redirect } from './page-errors.js'

// More than any list has; the offset stays within what the database can take.
const MAX_PAGE = 1_000_000

/** The query parameters of a list with pages. */
export const PagedList = { page: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE })) }

/** The query parameter that filters a list. */
export const FilterText = Type.Optional(Type.String({ maxLength: 1_000 }))

/** The query parameters of a list with pages that can be searched. */
export const SearchedList = { ...PagedList, search: FilterText }

/** The entries of a list that one page shows. */
export type PageWindow = { readonly page: number; readonly offset: number; readonly limit: number }

/** The position in a list, and links to the previous and next page. */
export type Pager = {
  readonly from: number
  readonly to: number
  readonly total: number
  readonly previous: string | undefined
  readonly next: string | undefined
}

/** The entries of the requested page. */
export function windowOf({ page = 1 }: { readonly page?: number | undefined }, limit: number): PageWindow {
  return { page, offset: (page - 1) * limit, limit }
}

/**
 * The links from one page of a list to others.
 *
 * @param url of the request; its filters are kept
 * @throws Redirect to the last page from beyond it, such as when entries have been removed
 */
export function pagerOf({ page, offset, limit }: PageWindow, total: number, url: string): Pager {
  const last = Math.max(1, Math.ceil(total / limit))
  if (page > last) throw new Redirect(withParameters(url, { page: last === 1 ? undefined : String(last) }))
  return {
    from: Math.min(offset + 1, total),
    to: Math.min(offset + limit, total),
    total,
    previous: page > 1 ? withParameters(url, { page: page === 2 ? undefined : String(page - 1) }) : undefined,
    next: offset + limit < total ? withParameters(url, { page: String(page + 1) }) : undefined,
  }
}

/** A local URL with changed parameters; `undefined` removes one. */
export function withParameters(url: string, changes: Readonly<Record<string, string | undefined>>): string {
  const [path = '', query = ''] = url.split('?', 2)
  const parameters = new URLSearchParams(query)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) parameters.delete(name)
    else parameters.set(name, value)
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}
