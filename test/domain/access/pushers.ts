import type { Pusher, RefDecision } from '../../../src/domain/access/decide.js'
import { decideRef } from '../../../src/domain/access/decide.js'
import type { Role } from '../../../src/domain/access/grant.js'
import type { Protection, ProtectionLevel } from '../../../src/domain/access/protection.js'
import { parseProtection, refProtections } from '../../../src/domain/access/protection.js'
import type { CommandKind } from '../../../src/protocol/push-head.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'
import { parseRestrictions } from '../../../src/domain/tokens/restriction.js'

export const REPOSITORY = parseRepositoryPath('team/app')!
export const LEVELS: readonly ProtectionLevel[] = ['write', 'admin', 'nobody']

/** A protection: `main write admin nobody` is who may push, force and delete. */
export function protection(text: string, given: Partial<Protection> = {}): Protection {
  const [refs = '', push = '', force = '', remove = ''] = text.split(' ')
  return { id: 7, ...parseProtection('team/**', refs, { push, force, delete: remove }), ...given }
}

/** Whether a protection covers a ref of a repository. */
export function covers(protection: Protection, ref: string, repository = REPOSITORY): boolean {
  return refProtections(repository, [protection])(ref).length > 0
}

/** What a decision depends on, beside the ref. */
export type Circumstances = {
  /** The token's rules; absent: no token. */
  readonly rules?: readonly string[]
  readonly name?: string
  readonly role?: Role
  readonly protections?: readonly Protection[]
}

/** Who pushes to {@link REPOSITORY}. */
export function pusher({ rules, name = 'agent', role = 'write', protections = [] }: Circumstances): Pusher {
  const token = rules === undefined ? undefined : { name, restrictions: parseRestrictions([], rules) }
  return { token, role, protections: refProtections(REPOSITORY, protections) }
}

/** `yes`, `ff: why no more than that`, or `no: why`. */
export function reported(decision: RefDecision): string {
  const kind = { allow: 'yes', 'allow-fast-forward': 'ff: ', refuse: 'no: ' }[decision.kind]
  return 'reason' in decision ? `${kind}${decision.reason}` : kind
}

export const KINDS: readonly CommandKind[] = ['create', 'update', 'delete']
/** What is told of a creation, an update and a deletion. */
export const decide = (ref: string, circumstances: Circumstances) =>
  KINDS.map((kind) => reported(decideRef(kind, ref, pusher(circumstances))))

export const [MAIN, TAG] = ['refs/heads/main', 'refs/tags/v1'] as const
