import { messageOf } from '../core/errors.js'

/** The result of one check of `gitgate doctor`. */
export type Diagnosis = {
  /** What was checked, in one word. */
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly message: string
  /** What to do about it; `null` if nothing needs to be done. */
  readonly remedy: string | null
}

export function ok(check: string, message: string): Diagnosis {
  return { check, status: 'ok', message, remedy: null }
}

/** It works, but not as it should. */
export function warning(check: string, message: string, remedy: string): Diagnosis {
  return { check, status: 'warning', message, remedy }
}

/** It doesn't work, or it isn't safe. */
export function problem(check: string, message: string, remedy: string): Diagnosis {
  return { check, status: 'problem', message, remedy }
}

/** Runs checks whose errors are problems: their messages say what to do. */
export async function diagnose(check: string, run: () => Promise<Diagnosis[]>): Promise<Diagnosis[]> {
  try {
    return await run()
  } catch (error) {
    return [problem(check, messageOf(error), 'follow the message and run gitgate doctor again')]
  }
}
