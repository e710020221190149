import { Type } from 'typebox'

// No list has so many pages, and no offset becomes a number that a database can't take.
const MAX_PAGE = 1_000_000

/** The parameters of a list that has pages. */
export const PagedList = { page: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE })) }

/** A text that a list is filtered by. */
export const FilterText = Type.Optional(Type.String({ maxLength: 1_000 }))

/** The parameters of a list that has pages and can be searched. */
export const SearchedList = { ...PagedList, search: FilterText }
