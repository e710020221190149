import { messageOf } from '../core/errors.js'

/** What one look of the doctor has found. */
export type Finding = {
  /** What was looked at, in a word. */
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly message: string
  /** What to do about it; `null` where nothing needs to be done. */
  readonly remedy: string | null
}

export function fine(check: string, message: string): Finding {
  return { check, status: 'ok', message, remedy: null }
}

/** Works, but not as it should. */
export function warning(check: string, message: string, remedy: string): Finding {
  return { check, status: 'warning', message, remedy }
}

/** Does not work, or is not safe. */
export function problem(check: string, message: string, remedy: string): Finding {
  return { check, status: 'problem', message, remedy }
}

/** Looks, and makes what is thrown a problem: its message says what to do. */
export async function attempt(check: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look()
  } catch (error) {
    return problem(check, messageOf(error), 'follow the message and run gitgate doctor again')
  }
}
