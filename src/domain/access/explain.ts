import type { Account } from '../accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import { fullRefPattern } from '../../protocol/pattern.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { RefVerb } from '../tokens/restriction.js'
import { REF_VERBS } from '../tokens/restriction.js'
import { explainRef } from './decide.js'
import type { Grant, Role } from './grant.js'
import { readyGrant, effectiveRole } from './grant.js'
import type { Protection } from './protection.js'
import { refProtections } from './protection.js'

/** The question: may this account, or an anonymous client, use a repository and a ref in it? */
export type Question = {
  /** `undefined`: anonymous. */
  readonly account: Pick<Account, 'username' | 'state'> | undefined
  readonly repository: RepositoryPath
  readonly ref: string | undefined
}

/** What the decision depends on. */
export type Rules = {
  /** The grants of the account's subjects. */
  readonly grants: readonly Grant[]
  readonly protections: readonly Protection[]
  /** Whether accounts are admins of the group with their own name. */
  readonly ownsGroup: boolean
}

/** What an account may do, and by which rule; a token limits it further. */
export type Explanation = {
  readonly role: Role | 'none'
  readonly rule: string
  /** The account is blocked, so everything is refused. */
  readonly blocked: boolean
  readonly about: RefExplanation | undefined
}

/** What the account may do to a ref: for each verb `null`, or why not. */
export type RefExplanation = {
  readonly ref: string
  readonly verbs: Readonly<Record<RefVerb, string | null>>
  readonly protectedBy: readonly Protection[]
}

/** Explains what an account may do. */
export function explainAccess({ account, repository, ref }: Question, rules: Rules): Explanation {
  const { role, rule } = effectiveRole(account, rules.grants.map(readyGrant), repository, rules.ownsGroup)
  const blocked = account?.state === 'blocked'
  if (ref === undefined) return { role, rule, blocked, about: undefined }
  const protections = refProtections(repository, rules.protections)
  return {
    role,
    rule,
    blocked,
    about: {
      ref,
      verbs: blocked ? BLOCKED : explainRef(ref, { token: undefined, role, protections }),
      protectedBy: protections(ref),
    },
  }
}

/** What a role allows, in words. */
export const ABILITIES = {
  none: "can't see",
  read: 'can clone and fetch',
  write: 'can clone, fetch and push',
  admin: 'can clone, fetch, push and create',
} as const satisfies Readonly<Record<Role | 'none', string>>

/**
 * Parses a ref as users type it: `main`, `refs/tags/v1`.
 *
 * @throws GitgateError `invalid`
 */
export function parseRef(text: string): string {
  const ref = fullRefPattern(text)
  if (!ref.includes('*')) return ref
  throw new GitgateError('invalid', `"${printable(text)}" is a pattern; pass one ref, such as main`)
}

const BLOCKED = Object.fromEntries(REF_VERBS.map((verb) => [verb, 'the account is blocked'])) as Record<RefVerb, string>
