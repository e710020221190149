import { Secret } from '../../src/core/secret.js'
import { UNLIMITED } from '../../src/domain/tokens/budget.js'
import { UNRESTRICTED } from '../../src/domain/tokens/restriction.js'
import type { NewToken } from '../../src/domain/tokens/token.js'
import { NOON } from './temporary-store.js'

let digests = 0

/** A token to be added that differs from a plain one in what is given. */
export function newToken(userId: number, given: Partial<NewToken> = {}): NewToken {
  digests += 1
  const digest = new Secret(`digest ${digests}`, 'token digest')
  const plain = {
    name: 'ci',
    description: null,
    expiresAt: null,
    impersonation: false,
    previousId: null,
    restrictions: UNRESTRICTED,
    budget: UNLIMITED,
    spent: { pushes: 0, bytes: 0 },
    parentId: null,
  }
  return { ...plain, userId, scopes: ['read_repository'], createdAt: NOON, digest, ...given }
}
