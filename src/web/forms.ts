import { breaksRule } from '../core/errors.js'
import { sentence } from './page-errors.js'

/** What is wrong with a form, by field. */
export type FieldErrors = Readonly<Record<string, string>>

/** Runs the checks of a form's fields. @returns what is wrong; empty if nothing is */
export function errorsIn(checks: Readonly<Record<string, () => unknown>>): FieldErrors {
  const errors = Object.entries(checks).flatMap(([name, check]) => {
    const problem = problemOf(check)
    return problem === undefined ? [] : [[name, problem] as const]
  })
  return Object.fromEntries(errors)
}

/** A broken rule as a sentence. @throws any other error */
export function problemIn(error: unknown): string {
  if (breaksRule(error)) return sentence(error.message)
  throw error
}

function problemOf(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return problemIn(error)
  }
}
