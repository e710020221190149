/** The entry point that was used; `gate`: none, the gate acts by itself. */
export type Via = 'git' | 'api' | 'web' | 'cli' | 'gate'

/** Who does something, and from where. */
export type Actor = {
  readonly via: Via
  /** The operating system's user, for commands. */
  readonly operator: string | null
  readonly accountId: number | null
  readonly username: string | null
  readonly tokenId: number | null
  /** Who acts on behalf of the account: with `sudo`, or by an impersonation token that they created. */
  readonly impersonator: string | null
  readonly ip: string | null
  readonly userAgent: string | null
  readonly requestId: string | null
}

/**
 * What entitles an actor to a change. The store checks it again in the change's own transaction, because the request may have waited
 * for a password check or for its client since it was authorised.
 */
export type Authority =
  | { readonly kind: 'session'; readonly id: number }
  /** `admin`: whether its owner was an administrator when the request was authorised. */
  | { readonly kind: 'token'; readonly id: number; readonly admin: boolean }

/** On whose behalf something is changed. */
export type AuditContext = {
  readonly actor: Actor
  /** What must still hold when the change is made. @default nothing */
  readonly authority?: Authority
}

/** What the gate does by itself, such as a scheduled job. */
export const THE_GATE: Actor = {
  via: 'gate',
  operator: null,
  accountId: null,
  username: null,
  tokenId: null,
  impersonator: null,
  ip: null,
  userAgent: null,
  requestId: null,
}

/** For changes that the gate makes by itself. */
export const GATE_CONTEXT: AuditContext = { actor: THE_GATE }

/** Where a request comes from. */
export type RequestOrigin = {
  readonly ip: string
  readonly requestId: string
  readonly request: { readonly headers: { readonly 'user-agent'?: string | undefined } }
}

const MAX_USER_AGENT_LENGTH = 255

/** Who makes a request, as far as that is known. */
export function requestActor(
  via: Via,
  { ip, requestId, request }: RequestOrigin,
  account: { readonly id: number; readonly username: string } | undefined,
  token?: { readonly id: number; readonly userId: number },
): Actor {
  return {
    via,
    operator: null,
    accountId: account?.id ?? token?.userId ?? null,
    username: account?.username ?? null,
    tokenId: token?.id ?? null,
    impersonator: null,
    ip,
    userAgent: request.headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null,
    requestId,
  }
}

/** Every action that the audit log records; the part before the dot is its kind. */
export const AUDIT_ACTIONS = [
  'user.added',
  'user.changed',
  'user.blocked',
  'user.unblocked',
  'user.password_changed',
  'user.notices_changed',
  'user.deleted',
  'two_factor.enabled',
  'two_factor.disabled',
  'two_factor.recovery_code_used',
  'two_factor.recovery_codes_replaced',
  /** Somebody signed in with a browser. */
  'session.started',
  'session.ended',
  'token.created',
  'token.derived',
  'token.rotated',
  'token.revoked',
  'grant.set',
  'grant.removed',
  'protection.set',
  'protection.removed',
  'setting.changed',
  'webhook.set',
  'webhook.removed',
  'repository.created',
  'repository.renamed',
  'repository.deleted',
  /** A backup took the place of the database. */
  'database.restored',
  'audit.pruned',
  /** Somebody rebuilt what is derived from the log, and the checkpoint. */
  'audit.repaired',
  /** The signed ends of the audit log were found changed; the log continues from its last row. */
  'audit.ends_changed',
  /** Credentials were refused. */
  'auth.refused',
  /** The advertisement of refs, before a fetch or a push. */
  'git.refs',
  'git.fetch',
  /** The backend is about to get a push, or the push was refused. */
  'git.push',
  /** How a push ended that the backend got. */
  'git.pushed',
] as const

export type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** Whether a text is an action, or a kind of actions: the part before the dot. */
export function isActionOrKind(text: string): boolean {
  return AUDIT_ACTIONS.some((name) => name === text || name.startsWith(`${text}.`))
}

/** The outcome. `cut`: access was revoked during the transfer, which people see as `revoked`. */
export const AUDIT_DECISIONS = ['allowed', 'refused', 'failed', 'aborted', 'cut'] as const

export type AuditDecision = (typeof AUDIT_DECISIONS)[number]

/** The update of one ref: object IDs in hexadecimal, zeros for none. */
export type RefChange = { readonly ref: string; readonly old: string; readonly new: string }

/** One entry of the audit log, before it has a place in the chain. */
export type AuditEvent = Actor & {
  readonly at: Date
  readonly action: AuditAction
  readonly decision: AuditDecision
  /** What decided. */
  readonly rule: string | null
  readonly repository: string | null
  /** Git's service: `git-upload-pack` or `git-receive-pack`. */
  readonly service: string | null
  readonly refs: readonly RefChange[] | null
  readonly bytesIn: number | null
  readonly bytesOut: number | null
  /** What was changed, such as `token:5`, `user:alice`, `setting:push_to_create`. */
  readonly target: string | null
  /** More about it, without secrets. */
  readonly details: Readonly<Record<string, unknown>> | null
}

/** An event in its place in the chain. */
export type AuditRow = AuditEvent & {
  /** Counts from 1 without gaps. */
  readonly id: number
  /** The hash of this row and, through the hash of the previous one, of all rows before it. */
  readonly hash: string
}

/** An event, with defaults for what is not given. */
export function auditEvent(
  actor: Actor,
  at: Date,
  given: Pick<AuditEvent, 'action'> & Partial<Omit<AuditEvent, keyof Actor>>,
): AuditEvent {
  return {
    ...actor,
    at,
    decision: 'allowed',
    rule: null,
    repository: null,
    service: null,
    refs: null,
    bytesIn: null,
    bytesOut: null,
    target: null,
    details: null,
    ...given,
  }
}
