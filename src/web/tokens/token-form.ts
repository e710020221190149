import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { Account } from '../../domain/accounts/account.js'
import { DAY, utcDate } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import { expiryChoices, lifetimeLimit } from '../../domain/policies/expiry-choices.js'
import { parseBudget, UNLIMITED } from '../../domain/tokens/budget.js'
import type { WantedExpiry } from '../../domain/tokens/expiry.js'
import { parseExpiryDate, parseExpirySpan } from '../../domain/tokens/expiry.js'
import type { IssueRules, TokenDraft } from '../../domain/tokens/issue.js'
import { checkDescription, checkScopes, checkTokenName, resolveExpiry } from '../../domain/tokens/issue.js'
import type { Restrictions } from '../../domain/tokens/restriction.js'
import { parseRestrictions, UNRESTRICTED } from '../../domain/tokens/restriction.js'
import type { Scope } from '../../domain/tokens/scope.js'
import { ALL_SCOPES, parseScopes } from '../../domain/tokens/scope.js'
import { sentence } from '../page-errors.js'
import type { PageOptions } from '../web-options.js'

const Line = Type.String({ default: '', maxLength: 10_000 })

/** The expiry fields of a new or rotated token: one of the offered lifetimes, or `date` and the date. */
export const ExpiryFields = {
  expiry: Type.String({ default: '', maxLength: 100 }),
  expires_on: Type.String({ default: '', maxLength: 100 }),
}

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
  const { repositories } = read('repositories', () => parseRestrictions(linesOf(form.repositories), []), UNRESTRICTED)
  const { refs } = read('refs', () => parseRestrictions([], linesOf(form.refs)), UNRESTRICTED)
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

/** One pattern per line. Names of repositories may contain blanks. */
function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** The expiry fields as submitted. */
export type ExpiryForm = { readonly expiry: string; readonly expires_on: string }

/** Reads the chosen expiry; the form's default if none was submitted. @throws GitgateError `invalid` */
export function wantedExpiry({ expiry, expires_on: date }: ExpiryForm, rules: IssueRules, now: Date): WantedExpiry {
  if (expiry === 'date') return parseExpiryDate(date.trim())
  const span = expiry === '' ? defaultSpan(rules, now) : expiry
  return span === undefined ? undefined : parseExpirySpan(span, now)
}

function defaultSpan(rules: IssueRules, now: Date): string | undefined {
  return expiryChoices(rules, now).find(({ isDefault }) => isDefault)?.span
}

/** What happens to tokens when they expire. */
export type ExpiryEffect = {
  /** Whether expired tokens stop working (setting `enforce_pat_expiration`). */
  readonly isEnforced: boolean
  /** Whether their owner gets a mail before they expire. */
  readonly isNotified: boolean
}

/** What happens to an account's tokens when they expire. */
export async function expiryEffect(
  { access, sendsMail }: Pick<PageOptions, 'access' | 'sendsMail'>,
  { email }: Account,
): Promise<ExpiryEffect> {
  const { enforce_pat_expiration: isEnforced } = await access.settings()
  return { isEnforced, isNotified: isEnforced && sendsMail && email !== null }
}

/** The data of the expiry fields. @param form the fields as submitted, if they were */
export function expiryView(rules: IssueRules, now: Date, form: ExpiryForm = { expiry: '', expires_on: '' }) {
  const choices = expiryChoices(rules, now)
  const chosen = form.expiry === '' ? defaultSpan(rules, now) : form.expiry
  return {
    choices: choices.map(({ span, days, isLongest }) => ({
      span,
      days,
      isLongest,
      end: days === null ? undefined : new Date(now.getTime() + days * DAY),
    })),
    chosen,
    date: form.expires_on,
    earliest: utcDate(new Date(now.getTime() + DAY)),
    latest: rules.latestExpiry === null ? undefined : utcDate(rules.latestExpiry),
    limit: lifetimeLimit(rules, now),
    isRequired: rules.expiryRequired,
  }
}
