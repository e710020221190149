import type { AuditAction } from '../domain/audit/event.js'
import type { Schema } from './database-schema.js'

/**
 * What an audit event says holds from then on, such as `setting:push_to_create` is `"false"`. The key names what was changed, the
 * value is JSON. `null`: it is gone.
 */
export type Fact = readonly [key: string, value: string | null]

/** The columns of an event that tell its facts. */
export const FACT_COLUMNS = [
  'action',
  'decision',
  'at',
  'operator',
  'username',
  'impersonator',
  'target',
  'details',
] as const satisfies readonly (keyof Schema['audit_events'])[]

export type FactRow = Pick<Schema['audit_events'], (typeof FACT_COLUMNS)[number]>

/** Actions whose events say something about rows of other tables. */
export const FACT_ACTIONS = [
  'setting.changed',
  'grant.set',
  'grant.removed',
  'protection.set',
  'protection.removed',
  'webhook.set',
  'webhook.removed',
  'user.added',
  'user.changed',
  'user.blocked',
  'user.unblocked',
  'user.notices_changed',
  'user.deleted',
  'two_factor.enabled',
  'two_factor.disabled',
  'token.created',
  'token.derived',
  'token.rotated',
  'token.revoked',
  'session.started',
] as const satisfies readonly AuditAction[]

/** A change reads the clock before its event does, and the clock may be set back in between. */
export const CLOCK_TOLERANCE_MS = 3_600_000

/** Facts that an account has. */
const USER_FACTS = ['name', 'email', 'admin', 'state', 'notices_off', 'two_factor', 'created_at'] as const

type Details = Readonly<Record<string, unknown>>

const isFactAction = new Set<string>(FACT_ACTIONS)

/** What an event says holds from then on. An event whose details can't be read says nothing. */
export function factsOf(row: FactRow): Fact[] {
  const { action, decision, at, target, details: text } = row
  if (target === null || decision !== 'allowed' || !isFactAction.has(action)) return []
  const details = readDetails(text)
  if (details === undefined) return []
  const user = (values: Details): Fact[] =>
    Object.entries(values).map(([name, value]) => [`${target} ${name}`, JSON.stringify(value)])
  switch (action as (typeof FACT_ACTIONS)[number]) {
    case 'setting.changed':
      return withTime(target, JSON.stringify(details['to']), at)
    case 'grant.set':
      return [[target, JSON.stringify(details['to'])]]
    case 'protection.set':
      return [[target, protectionValue(details)]]
    case 'webhook.set':
      return [[target, JSON.stringify([details['to'], details['user']])]]
    case 'grant.removed':
    case 'protection.removed':
    case 'webhook.removed':
      return [[target, null]]
    case 'user.added':
      return user({ state: 'active', notices_off: [], two_factor: false, ...details, created_at: at })
    case 'user.changed':
      return user(Object.fromEntries(Object.entries(details).map(([name, value]) => [name, (value as Details)['to']])))
    case 'user.blocked':
      return user({ state: 'blocked' })
    case 'user.unblocked':
      return user({ state: 'active' })
    case 'user.notices_changed':
      return user({ notices_off: details['off'] })
    case 'user.deleted':
      return [...USER_FACTS.map((name): Fact => [`${target} ${name}`, null]), ...grantsOf(target, details)]
    case 'two_factor.enabled':
      return user({ two_factor: true })
    case 'two_factor.disabled':
      return user({ two_factor: false })
    case 'token.created':
    case 'token.derived':
      return [
        ...withTime(target, JSON.stringify({ ...details, rotated_from: undefined }), at),
        [originKey(target), originValue(row.impersonator ?? row.username ?? row.operator, details['rotated_from'])],
      ]
    case 'token.rotated':
      return [[endOf(target), String(Date.parse(String(details['ends_at'])))]]
    case 'token.revoked':
      return [[endOf(target), String(at)]]
    case 'session.started':
      return withTime(`session:${String(details['session'])}`, JSON.stringify([target, details['by']]), at)
  }
}

function withTime(key: string, value: string, at: number): Fact[] {
  return [
    [key, value],
    [timeOf(key), String(at)],
  ]
}

/** The key of the fact when a token ends, by that of the token. */
export function endOf(token: string): string {
  return `${token} end`
}

/** The key of the fact when a setting was set, or a token or session created. */
export function timeOf(key: string): string {
  return `${key} ${key.startsWith('setting:') ? 'set_at' : 'created_at'}`
}

/** The key of the fact where a token comes from, by that of the token. */
export function originKey(token: string): string {
  return `${token} origin`
}

/** Who made a token, and which one it replaces. */
export function originValue(issuedBy: string | null, rotatedFrom: unknown): string {
  return JSON.stringify([issuedBy, rotatedFrom ?? null])
}

/** The value of a protection. */
export function protectionValue({ push, force, delete: remove }: Details): string {
  return JSON.stringify([push, force, remove])
}

function grantsOf(target: string, { grants }: Details): Fact[] {
  const subject = target.slice('user:'.length).toLowerCase()
  return Array.isArray(grants)
    ? (grants as { readonly pattern: string }[]).map(({ pattern }) => [`grant:${subject} ${pattern}`, null])
    : []
}

function readDetails(text: string | null): Details | undefined {
  try {
    return (JSON.parse(text ?? '{}') ?? {}) as Details
  } catch {
    return undefined
  }
}
