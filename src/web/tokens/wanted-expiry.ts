import { Type } from 'typebox'
import { DAY, utcDate } from '../../clock.js'
import { expiryChoices, lifetimeLimit } from '../../policies/expiry-choices.js'
import type { WantedExpiry } from '../../tokens/expiry.js'
import { parseExpiryDate, parseExpirySpan } from '../../tokens/expiry.js'
import type { IssueRules } from '../../tokens/issue.js'

/** What the fields of an expiry hold: one of the lifetimes offered, or `date`. */
export const ExpiryFields = {
  expiry: Type.String({ default: '', maxLength: 100 }),
  expires_on: Type.String({ default: '', maxLength: 100 }),
}

/** The fields of an expiry, as they were typed. */
export type ExpiryForm = { readonly expiry: string; readonly expires_on: string }

/** Reads what was chosen. @throws GitgateError `invalid` */
export function wantedExpiry({ expiry, expires_on: date }: ExpiryForm, now: Date): WantedExpiry {
  if (expiry === 'date') return parseExpiryDate(date.trim())
  return expiry === '' ? undefined : parseExpirySpan(expiry, now)
}

/** What the fields of an expiry show. @param form what was typed before, if anything */
export function expiryView(rules: IssueRules, now: Date, form: ExpiryForm = { expiry: '', expires_on: '' }) {
  const choices = expiryChoices(rules, now)
  const chosen = form.expiry === '' ? choices.find(({ isDefault }) => isDefault)?.span : form.expiry
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
