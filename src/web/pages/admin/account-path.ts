import { Type } from 'typebox'
import type { Account, AccountStore } from '../../../domain/accounts/account.js'
import { PageError } from '../../page-errors.js'

/** The path parameters of an account's pages. */
export const NamedAccount = Type.Object({ username: Type.String({ maxLength: 1_000 }) })

/** The page of an account. */
export function pathOfAccount({ username }: Pick<Account, 'username'>): string {
  return `/-/admin/users/${encodeURIComponent(username)}`
}

/** The account in a path. @throws PageError `not-found` */
export async function requireAccount(
  { accounts }: { readonly accounts: Pick<AccountStore, 'findByUsername'> },
  { username }: { readonly username: string },
): Promise<Account> {
  const account = await accounts.findByUsername(username)
  if (account === undefined) throw new PageError('not-found')
  return account
}
