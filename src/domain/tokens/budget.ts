import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'

/** How much a token may push in its lifetime; `null`: no limit. */
export type Budget = {
  readonly pushes: number | null
  /** Bytes that pushes send: commands and packs. */
  readonly bytes: number | null
}

/** What a token has pushed. It is counted only if the token, or the one it was derived from, has a budget. */
export type Spent = { readonly pushes: number; readonly bytes: number }

/** Whether a push was within the budget; otherwise whose budget it exceeded, and which part. */
export type Spending =
  | { readonly kind: 'spent' }
  | { readonly kind: 'exhausted'; readonly token: string; readonly part: 'pushes' | 'bytes'; readonly limit: number }

/** The budget of a token without one. */
export const UNLIMITED: Budget = { pushes: null, bytes: null }

const UNITS = ['', 'k', 'M', 'G', 'T'] as const
const KIBI = 1_024
const MAX_PUSHES = 1_000_000_000

/**
 * Parses a budget as users type it.
 *
 * @param pushes a whole number
 * @param bytes a size such as `500k`, `50M`, `2G`; each unit is 1,024 of the previous one, as in git
 * @throws GitgateError `invalid`
 */
export function parseBudget(pushes: string | undefined, bytes: string | undefined): Budget {
  return {
    pushes: pushes === undefined ? null : parsePushes(pushes),
    bytes: bytes === undefined ? null : parseSize(bytes),
  }
}

/** A number of bytes in the format of {@link parseBudget}, in the largest unit without a remainder. */
export function formatSize(bytes: number): string {
  let [rest, unit] = [bytes, 0]
  while (rest >= KIBI && rest % KIBI === 0 && unit < UNITS.length - 1) {
    rest /= KIBI
    unit += 1
  }
  return `${rest}${UNITS[unit] ?? ''}`
}

function parsePushes(text: string): number {
  const number = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN
  if (number <= MAX_PUSHES) return number
  throw new GitgateError('invalid', `"${printable(text)}" is not a number of pushes; use a whole number, 1 or more`)
}

function parseSize(text: string): number {
  const [, digits = '', letter = ''] = /^([1-9]\d{0,12})([kmgt]?)$/i.exec(text) ?? []
  const unit = UNITS.findIndex((name) => name.toLowerCase() === letter.toLowerCase())
  const bytes = Number(digits) * KIBI ** unit
  if (digits !== '' && Number.isSafeInteger(bytes)) return bytes
  throw new GitgateError('invalid', `"${printable(text)}" is not a size; use a number of bytes, or 500k, 50M, 2G`)
}

/** Describes how a push exceeded a budget. */
export function describeExcess({ token, part, limit }: Spending & { readonly kind: 'exhausted' }): string {
  return part === 'pushes'
    ? `token "${token}" has used up its budget of ${limit} ${limit === 1 ? 'push' : 'pushes'}`
    : `this push goes beyond the budget of token "${token}": ${formatSize(limit)} in all its pushes`
}
