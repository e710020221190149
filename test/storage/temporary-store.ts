import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Account, NewAccount } from '../../src/domain/accounts/account.js'
import type { Clock } from '../../src/core/clock.js'
import type { Store, StoreOptions } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'

/** The instant at which tests begin: the middle of a day, so that midnight is hours away on either side. */
export const NOON = new Date('2026-06-15T12:00:00.000Z')

/** The real store in a folder of its own, closed when the test ends. */
export function openTemporaryStore(t: Test, options: StoreOptions = {}): Store {
  const store = openStore(join(t.testdir(), 'data'), undefined, options)
  t.teardown(() => store.close())
  return store
}

/** Adds an account that differs from a plain one in what is given. */
export async function addAccount(
  store: Pick<Store, 'accounts'>,
  username: string,
  given: Partial<NewAccount> = {},
  context = GATE_CONTEXT,
  now = NOON,
): Promise<Account> {
  const plain = { username, name: username, email: null, admin: false, passwordHash: null }
  return await store.accounts.add(context, { ...plain, ...given }, now)
}

/** Deletes the audit events from before an instant, as `audit prune --force` does. @returns how many */
export async function prune(store: Pick<Store, 'audit'>, before: Date): Promise<number> {
  return (await store.audit.prune(GATE_CONTEXT, before, before, 'force')).deleted
}

/** A clock that stands still until it is moved. */
export function movableClock(): { readonly clock: Clock; now: Date } {
  const hands = { now: NOON, clock: () => hands.now }
  return hands
}
