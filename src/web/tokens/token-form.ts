import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { Account } from '../../domain/accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { parseBudget, UNLIMITED } from '../../domain/tokens/budget.js'
import type { IssueRules, TokenDraft } from '../../domain/tokens/issue.js'
import { checkDescription, checkScopes, checkTokenName, resolveExpiry } from '../../domain/tokens/issue.js'
import type { Restrictions } from '../../domain/tokens/restriction.js'
import { parseRestrictions, UNRESTRICTED } from '../../domain/tokens/restriction.js'
import type { Scope } from '../../domain/tokens/scope.js'
import { ALL_SCOPES, parseScopes } from '../../domain/tokens/scope.js'
import { sentence } from '../page-errors.js'
import { ExpiryFields, wantedExpiry } from './wanted-expiry.js'

const Line = Type.String({ default: '', maxLength: 10_000 })

/** The fields of a new token, as submitted. */
export const TokenFields = Type.Object({
  name: Line,
  description: Line,
  scopes: Type.Array(Type.String({ maxLength: 100 }), { default: [], maxItems: 50 }),
  ...ExpiryFields,
  /** Patterns, one per line. */
  repositories: Line,
  refs: Line,
  max_pushes: Line,
  max_push_bytes: Line,
  /** A push to try out. */
  try_repository: Line,
  try_ref: Line,
})

/** The form of a new token. */
export type TokenForm = Static<typeof TokenFields>

/** An empty form. */
export const EMPTY_FORM: TokenForm = {
  name: '',
  description: '',
  scopes: [],
  expiry: '',
  expires_on: '',
  repositories: '',
  refs: '',
  max_pushes: '',
  max_push_bytes: '',
  try_repository: '',
  try_ref: '',
}

/** What is wrong, by field. */
export type FormProblems = { [K in Exclude<keyof TokenForm, 'expires_on' | 'try_repository'>]?: string }

/** A form that was read as far as it is valid. */
export type ReadForm = {
  readonly draft: TokenDraft & { readonly restrictions: Restrictions }
  readonly problems: FormProblems
}

/** Reads the form of a new token, and reports all invalid fields at once. */
export function readTokenForm(form: TokenForm, owner: Account, rules: IssueRules, now: Date): ReadForm {
  const problems: FormProblems = {}
  const read = <T>(field: keyof FormProblems, parse: () => T, otherwise: T): T => {
    try {
      return parse()
    } catch (error) {
      if (!(error instanceof GitgateError)) throw error
      problems[field] = sentence(error.message)
      return otherwise
    }
  }
  const name = form.name.trim()
  const description = form.description.trim()
  read('name', () => checkTokenName(name), undefined)
  read('description', () => checkDescription(description), undefined)
  const scopes = read('scopes', () => scopesOf(form, owner), [])
  const expiry = read(
    'expiry',
    () => {
      const wanted = wantedExpiry(form, rules, now)
      resolveExpiry(wanted, rules, now)
      return wanted
    },
    undefined,
  )
  const { repositories } = read('repositories', () => parseRestrictions(wordsOf(form.repositories), []), UNRESTRICTED)
  const { refs } = read('refs', () => parseRestrictions([], wordsOf(form.refs)), UNRESTRICTED)
  const budgetOf = (pushes: string, bytes: string) => () =>
    parseBudget(pushes.trim() || undefined, bytes.trim() || undefined)
  const { pushes } = read('max_pushes', budgetOf(form.max_pushes, ''), UNLIMITED)
  const { bytes } = read('max_push_bytes', budgetOf('', form.max_push_bytes), UNLIMITED)
  const draft = {
    name,
    description: description === '' ? null : description,
    scopes,
    expiry,
    restrictions: { repositories, refs, within: null },
    budget: { pushes, bytes },
  }
  return { draft, problems }
}

/** The scopes in a link to the form, as on GitLab: unknown ones are ignored. @param list separated by commas */
export function knownScopes(list: string): Scope[] {
  const words = list.split(/[\s,]+/)
  return ALL_SCOPES.filter((scope) => words.includes(scope))
}

function scopesOf(form: TokenForm, owner: Account): Scope[] {
  const scopes = form.scopes.length === 0 ? [] : parseScopes(form.scopes.join(' '))
  checkScopes(scopes, owner)
  return scopes
}

/** Patterns contain no spaces. */
function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
