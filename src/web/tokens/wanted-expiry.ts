import { Type } from 'typebox'
import type { Account } from '../../domain/accounts/account.js'
import { DAY, utcDate } from '../../core/clock.js'
import { expiryChoices, lifetimeLimit } from '../../domain/policies/expiry-choices.js'
import type { WantedExpiry } from '../../domain/tokens/expiry.js'
import { parseExpiryDate, parseExpirySpan } from '../../domain/tokens/expiry.js'
import type { IssueRules } from '../../domain/tokens/issue.js'
import type { PageOptions } from '../web-options.js'

/** The expiry fields of a form: one of the offered lifetimes, or `date` and the date. */
export const ExpiryFields = {
  expiry: Type.String({ default: '', maxLength: 100 }),
  expires_on: Type.String({ default: '', maxLength: 100 }),
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
