/** The codes of expected failures. The CLI turns them into one line and an exit status, HTTP into a status and a text. */
export type ErrorCode =
  /** Wrong usage of the command line: an unknown option, a missing value. */
  | 'usage'
  /** A flag, a variable or a line of the configuration file is wrong. */
  | 'configuration'
  /** An input breaks a rule; the message says which. */
  | 'invalid'
  /** There is nothing with the given name or ID. */
  | 'not-found'
  /** The name is taken, or the current state doesn't allow the change. */
  | 'conflict'
  /** A policy of this instance forbids it. */
  | 'forbidden'
  /** The data folder, the database or the key can't be used, or another program keeps the database locked. */
  | 'store'
  /** The disk of the data folder is full. */
  | 'disk-full'
  /** The gate can't listen on the address. */
  | 'listen'
  /** `gitgate doctor` found a problem. */
  | 'unhealthy'
  /** Git is missing, too old, or failed. */
  | 'git'
  /** A mail server or webhook did not accept a delivery. */
  | 'delivery'

/** The field whose value is wrong, as the API names it. */
export type ErrorField = 'username' | 'name' | 'email' | 'password' | 'description' | 'scopes' | 'expires_at'

/** A failure with a stable code. The message is one sentence that says what to do, and never contains a secret. */
export class GitgateError extends Error {
  override readonly name = 'GitgateError'
  readonly code: ErrorCode
  /** Set if exactly one field is wrong. */
  readonly field: ErrorField | undefined

  constructor(code: ErrorCode, message: string, { field, ...options }: ErrorOptions & { field?: ErrorField } = {}) {
    super(message, options)
    this.code = code
    this.field = field
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether a system call failed with one of these codes, such as `ENOENT`. */
export function hasSystemCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** Whether the caller may try the same again later: the database can't be written now. */
export function isUnavailable(error: unknown): error is GitgateError {
  return error instanceof GitgateError && (error.code === 'store' || error.code === 'disk-full')
}

/** After how many seconds to try again; for `Retry-After` (RFC 9110, 10.2.3). */
export const RETRY_AFTER_SECONDS = 5

const RULES: readonly string[] = ['invalid', 'conflict', 'forbidden', 'not-found'] satisfies ErrorCode[]

/** Whether the caller broke a rule. Other failures, such as a full disk, are not the caller's fault. */
export function breaksRule(error: unknown): error is GitgateError {
  return error instanceof GitgateError && RULES.includes(error.code)
}
