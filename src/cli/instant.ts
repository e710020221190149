import { GitgateError } from '../core/errors.js'
import { parseSince } from '../domain/tokens/expiry.js'

/**
 * Reads when something begins, as an option has it: a date, an instant, or how long ago, such as `7d`.
 *
 * @param option which option it is, for the message
 * @throws GitgateError `usage`
 */
export function sinceOption(option: string, text: string, now: Date): Date {
  try {
    return parseSince(text, now)
  } catch (error) {
    if (error instanceof GitgateError) throw new GitgateError('usage', `${option}: ${error.message}`)
    throw error
  }
}
