import { Type } from 'typebox'
import { Redirect } from './page-errors.js'

// No list has so many pages, and no offset becomes a number that a database can't take.
const MAX_PAGE = 1_000_000

/** The parameters of a list that has pages. */
export const PagedList = { page: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE })) }

/** A text that a list is filtered by. */
export const FilterText = Type.Optional(Type.String({ maxLength: 1_000 }))

/** The parameters of a list that has pages and can be searched. */
export const SearchedList = { ...PagedList, search: FilterText }

/** Which entries of a list a page shows. */
export type PageWindow = { readonly page: number; readonly offset: number; readonly limit: number }

/** Where one is in a list, and the ways on. */
export type Pager = {
  readonly from: number
  readonly to: number
  readonly total: number
  readonly previous: string | undefined
  readonly next: string | undefined
}

/** The entries that a query's `page` asks for. */
export function windowOf({ page = 1 }: { readonly page?: number | undefined }, limit: number): PageWindow {
  return { page, offset: (page - 1) * limit, limit }
}

/**
 * The ways from one page of a list to the others.
 *
 * @param url of the request, whose filters stay
 * @throws Redirect beyond the last page, which entries that went have perhaps made the last
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

/** A local URL with other parameters; `undefined` takes one away. */
export function withParameters(url: string, changes: Readonly<Record<string, string | undefined>>): string {
  const [path = '', query = ''] = url.split('?', 2)
  const parameters = new URLSearchParams(query)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) parameters.delete(name)
    else parameters.set(name, value)
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}
