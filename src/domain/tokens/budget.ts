import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'

/** How much a token may push in all its life; `null`: no limit. */
export type Budget = {
  readonly pushes: number | null
  /** Bytes of what pushes send: commands and packs. */
  readonly bytes: number | null
}

/** What a token has pushed, where it or the one that it was derived from has a budget; else nothing is counted. */
export type Spent = { readonly pushes: number; readonly bytes: number }

/** Whether a push was within the budget; otherwise whose budget, and which part of it, it went beyond. */
export type Spending =
  | { readonly kind: 'spent' }
  | { readonly kind: 'exhausted'; readonly token: string; readonly part: 'pushes' | 'bytes'; readonly limit: number }

/** The budget of a token without one. */
export const UNLIMITED: Budget = { pushes: null, bytes: null }

const UNITS = ['', 'k', 'M', 'G', 'T'] as const
const KIBI = 1_024
const MAX_PUSHES = 1_000_000_000

/**
 * Reads a budget as it is typed.
 *
 * @param pushes a whole number
 * @param bytes a size such as `500k`, `50M`, `2G`; the units are 1,024 of the one before, as git's
 * @throws GitgateError `invalid`
 */
export function parseBudget(pushes: string | undefined, bytes: string | undefined): Budget {
  return {
    pushes: pushes === undefined ? null : parsePushes(pushes),
    bytes: bytes === undefined ? null : parseSize(bytes),
  }
}

/** A number of bytes as {@link parseBudget} reads it, in the largest unit that has no rest. */
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

/** Says that a push went beyond a budget. */
export function describeExcess({ token, part, limit }: Spending & { readonly kind: 'exhausted' }): string {
  return part === 'pushes'
    ? `token "${token}" has used up its budget of ${limit} ${limit === 1 ? 'push' : 'pushes'}`
    : `this push goes beyond the budget of token "${token}": ${formatSize(limit)} in all its pushes`
}
