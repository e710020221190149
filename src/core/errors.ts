/** Expected failures. Each entry point renders them in one place: the CLI as one line and an exit status, HTTP as a status and a text. */
export type ErrorCode =
  /** The command line was used wrongly: an unknown option, a missing value. */
  | 'usage'
  /** A flag, a variable or a line of the configuration file is wrong. */
  | 'configuration'
  /** A value that a person gave breaks a rule; the message says which. */
  | 'invalid'
  /** Nothing has the name or number that was given. */
  | 'not-found'
  /** Something has the name already, or is in a state that excludes the change. */
  | 'conflict'
  /** A policy of this instance forbids it. */
  | 'forbidden'
  /** The data folder, the database or the key can't be used. */
  | 'store'
  /** No space is left on the disk of the data folder. */
  | 'disk-full'
  /** The network address can't be listened on. */
  | 'listen'
  /** The doctor has found a problem. */
  | 'unhealthy'
  /** Git is missing, too old, or failed. */
  | 'git'
  /** A mail server or a webhook did not accept what it was sent. */
  | 'delivery'

/** The input that a broken rule is about, as the API names it. */
export type ErrorField = 'username' | 'name' | 'email' | 'password' | 'description' | 'scopes' | 'expires_at'

/** A failure with a stable code. The message is one sentence that says what to do, and never holds a secret. */
export class GitgateError extends Error {
  override readonly name = 'GitgateError'
  readonly code: ErrorCode
  /** Set if exactly one input is wrong. */
  readonly field: ErrorField | undefined

  constructor(code: ErrorCode, message: string, { field, ...options }: ErrorOptions & { field?: ErrorField } = {}) {
    super(message, options)
    this.code = code
    this.field = field
  }
}

/** The message of anything that was thrown, for logs and causes. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether a system call failed with one of these codes, such as `ENOENT`. */
export function hasSystemCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

const RULES: readonly string[] = ['invalid', 'conflict', 'forbidden', 'not-found'] satisfies ErrorCode[]

/** Whether what somebody asked for breaks a rule. Anything else is no fault of theirs, such as a full disk. */
export function breaksRule(error: unknown): error is GitgateError {
  return error instanceof GitgateError && RULES.includes(error.code)
}
