import { GitgateError } from '../../core/errors.js'
import { hasUnprintable, printable } from '../../core/printable.js'
import { isReservedName } from '../../core/reserved-names.js'
import type { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'

/** A user or bot that can sign in. */
export type Account = {
  readonly id: number
  /** Unique ignoring case; a single segment of a URL. */
  readonly username: string
  /** The display name. */
  readonly name: string
  readonly email: string | null
  readonly admin: boolean
  /** A blocked account can't do anything, by password or token. */
  readonly state: 'active' | 'blocked'
  /** The bcrypt hash; `null` if no password is set, so that only tokens work. */
  readonly passwordHash: Secret | null
  /** Whether two-factor authentication is on, so that a password alone isn't enough. */
  readonly twoFactorEnabled: boolean
  readonly createdAt: Date
}

/** The fields of a new account. */
export type NewAccount = Pick<Account, 'username' | 'name' | 'email' | 'admin' | 'passwordHash'>

/** The fields to change; absent ones stay. */
export type AccountChange = Partial<Pick<Account, 'name' | 'email' | 'admin'>>

/** Filters for a list of accounts; absent filters match all. */
export type AccountQuery = {
  /** A part of the username, name or email address, ignoring case. */
  readonly search?: string
  readonly state?: Account['state']
  readonly admin?: boolean
  readonly twoFactorEnabled?: boolean
  readonly offset: number
  readonly limit: number
}

/** One page of a list, and the length of the list. */
export type AccountPage = { readonly accounts: readonly Account[]; readonly total: number }

/** Stores accounts. */
export interface AccountStore {
  /** @throws GitgateError `conflict` when the username or the email address is taken */
  add(context: AuditContext, account: NewAccount, now: Date): Promise<Account>
  find(id: number): Promise<Account | undefined>
  /** By username, ignoring case. */
  findByUsername(username: string): Promise<Account | undefined>
  /** By username or email address, as for sign-in. */
  findByLogin(login: string): Promise<Account | undefined>
  list(): Promise<Account[]>
  /** A page of the accounts that match a query, sorted by username. */
  search(query: AccountQuery): Promise<AccountPage>
  /** Whether there is no account yet. */
  isEmpty(): Promise<boolean>
  /**
   * Changes the given fields. Changing `admin` signs the user out.
   *
   * @throws GitgateError `conflict` when the email address is taken
   */
  change(context: AuditContext, id: number, change: AccountChange): Promise<void>
  /** A change ends the account's sessions. */
  setState(context: AuditContext, id: number, state: Account['state']): Promise<void>
  /** Ends the account's sessions. */
  setPasswordHash(context: AuditContext, id: number, hash: Secret): Promise<void>
  /** Deletes the account, its tokens, and the grants to its name. */
  remove(context: AuditContext, account: Account): Promise<void>
}

const USERNAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const MAX_USERNAME = 64
const MAX_NAME = 255
// Neither white space nor Unicode's invisible characters; the braille blank isn't among those, but is invisible.
const VISIBLE = /[^\s\p{Default_Ignorable_Code_Point}\u2800]/u
// Not RFC 5322: it only checks that an address is one line with one @. Sending mail shows whether it exists.
const EMAIL = /^[^\s@<>",;:\\]+@[^\s@<>",;:\\]+$/

/**
 * Checks a username.
 *
 * @throws GitgateError `invalid`, saying which rule is broken
 */
export function checkUsername(username: string): void {
  if (username.length > MAX_USERNAME)
    throw new GitgateError('invalid', `a username can have at most ${MAX_USERNAME} characters`, { field: 'username' })
  if (!USERNAME.test(username) || username.endsWith('.git') || username.endsWith('.lock')) {
    throw new GitgateError(
      'invalid',
      `"${printable(username)}" is not a valid username: it must start with a letter, digit or _, contain only these and . and -, and not end in .git or .lock`,
      { field: 'username' },
    )
  }
  if (isReservedName(username))
    throw new GitgateError('invalid', `"${username}" is reserved for gitgate's own URLs`, { field: 'username' })
}

/**
 * Checks that a new account doesn't get existing repositories of others: it is admin of the group with its own name.
 *
 * @param isGroup whether a repository or a group already has that name
 * @throws GitgateError `conflict`
 */
export function refuseNameOfGroup(username: string, isGroup: boolean): void {
  if (!isGroup) return
  throw new GitgateError(
    'conflict',
    `there are repositories under ${username}/, which the new account would own; choose another username, or move them first: gitgate repo rename`,
    { field: 'username' },
  )
}

/**
 * Checks the display name of an account or token.
 *
 * @param what has the name, for the message
 * @throws GitgateError `invalid` when it is empty, longer than 255 characters, or holds characters that don't print
 */
export function checkDisplayName(name: string, what: string): void {
  if (!VISIBLE.test(name)) throw new GitgateError('invalid', `${what} can't be blank`, { field: 'name' })
  if (name.length > MAX_NAME)
    throw new GitgateError('invalid', `${what} can have at most ${MAX_NAME} characters`, { field: 'name' })
  if (hasUnprintable(name))
    throw new GitgateError('invalid', `${what} can't contain control characters or line breaks`, { field: 'name' })
}

/**
 * Checks the fields of an account.
 *
 * @throws GitgateError `invalid`, saying which rule is broken
 */
export function checkAccountChange({ name, email = null }: AccountChange): void {
  if (name !== undefined) checkDisplayName(name, 'a name')
  if (email !== null) checkEmail(email)
}

/**
 * Checks an email address.
 *
 * @throws GitgateError `invalid`
 */
export function checkEmail(email: string): void {
  if (email.length > MAX_NAME || !EMAIL.test(email) || hasUnprintable(email)) {
    throw new GitgateError('invalid', `"${printable(email)}" is not an email address`, { field: 'email' })
  }
}
