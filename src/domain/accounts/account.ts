import { GitgateError } from '../../core/errors.js'
import { hasUnprintable, printable } from '../../core/printable.js'
import { isReservedName } from '../../core/reserved-names.js'
import type { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'

/** A person or a bot that may sign in. */
export type Account = {
  readonly id: number
  /** Unique whatever the case of its letters; a single segment of a URL. */
  readonly username: string
  /** What people call it. */
  readonly name: string
  readonly email: string | null
  readonly admin: boolean
  /** A blocked account can do nothing, by password or by token. */
  readonly state: 'active' | 'blocked'
  /** The bcrypt hash; `null` where no password was set, so that only tokens work. */
  readonly passwordHash: Secret | null
  /** Two-factor authentication is on: a password alone is not enough. */
  readonly twoFactorEnabled: boolean
  readonly createdAt: Date
}

/** What is given when an account is added. */
export type NewAccount = Pick<Account, 'username' | 'name' | 'email' | 'admin' | 'passwordHash'>

/** What an account can be given later; what is absent stays as it is. */
export type AccountChange = Partial<Pick<Account, 'name' | 'email' | 'admin'>>

/** Which accounts a page of the list holds; what is absent is not looked at. */
export type AccountQuery = {
  /** A part of the username, the name or the email address, in any case of its letters. */
  readonly search?: string
  readonly state?: Account['state']
  readonly admin?: boolean
  readonly twoFactorEnabled?: boolean
  readonly offset: number
  readonly limit: number
}

/** One page of a list, and how long the whole list is. */
export type AccountPage = { readonly accounts: readonly Account[]; readonly total: number }

/** Where accounts are kept. */
export interface AccountStore {
  /** @throws GitgateError `conflict` when the username or the email address is taken */
  add(context: AuditContext, account: NewAccount, now: Date): Promise<Account>
  find(id: number): Promise<Account | undefined>
  /** By username, in any case of its letters. */
  findByUsername(username: string): Promise<Account | undefined>
  /** By username or email address, as people sign in. */
  findByLogin(login: string): Promise<Account | undefined>
  list(): Promise<Account[]>
  /** A page of those that a query asks for, by username. */
  search(query: AccountQuery): Promise<AccountPage>
  /** Whether there is no account yet. */
  isEmpty(): Promise<boolean>
  /**
   * Changes what is given. Who becomes an administrator, or is one no more, is signed out.
   *
   * @throws GitgateError `conflict` when the email address is taken
   */
  change(context: AuditContext, id: number, change: AccountChange): Promise<void>
  /** A change ends the account's sessions. */
  setState(context: AuditContext, id: number, state: Account['state']): Promise<void>
  /** Ends the account's sessions. */
  setPasswordHash(context: AuditContext, id: number, hash: Secret): Promise<void>
  /** Deletes the account with all its tokens, and the grants to its name. */
  remove(context: AuditContext, account: Account): Promise<void>
}

const USERNAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const MAX_USERNAME = 64
const MAX_NAME = 255
// Neither white nor one of Unicode's characters that show nothing; the braille blank is none of those, and shows nothing.
const VISIBLE = /[^\s\p{Default_Ignorable_Code_Point}\u2800]/u
// Not RFC 5322: only what keeps an address on one line and with one @. Whether it receives mail, mail will tell.
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
 * Checks that an account does not come into repositories that others have put there: it is admin of the group of its name.
 *
 * @param isGroup whether a repository, or a group of them, has that name already
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
 * Checks a name that people read: of an account, of a token.
 *
 * @param what what the name belongs to, for the message
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
 * Checks what an account is to be given.
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
