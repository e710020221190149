import type { Selectable } from 'kysely'
import type {
  NotificationActor,
  NotificationPayload,
  NotificationToken,
  NotificationKind,
} from '../domain/notifications/notification.js'
import type { Actor } from '../domain/audit/event.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { Schema } from './database-schema.js'

/** A payload as stored: JSON without the kind, which has its own column. */
export function serializePayload(payload: NotificationPayload): string {
  return JSON.stringify({ ...payload, kind: undefined })
}

/** Reads a payload from its row. */
export function parsePayload({
  kind,
  facts,
}: Pick<Selectable<Schema['notices']>, 'kind' | 'facts'>): NotificationPayload {
  return { kind, ...(JSON.parse(facts, revive) as object) } as NotificationPayload
}

const INSTANTS = new Set(['at', 'createdAt', 'expiresAt', 'lastUsedAt', 'endsAt'])

function revive(key: string, value: unknown): unknown {
  return INSTANTS.has(key) && typeof value === 'string' ? new Date(value) : value
}

/** Reads the kinds that an account turned off. */
export function kindsOffFrom({ notices_off }: Pick<Selectable<Schema['accounts']>, 'notices_off'>): NotificationKind[] {
  return JSON.parse(notices_off) as NotificationKind[]
}

/** A token as notifications show it. */
export function notificationToken(token: PersonalAccessToken): NotificationToken {
  const { id, name, description, scopes, createdAt, expiresAt, lastUsedAt } = token
  return { id, name, description, scopes, createdAt, expiresAt, lastUsedAt }
}

/** Who makes a change, as its notification names them. @param owner username of the recipient */
export function notificationActor(actor: Actor, owner: string): NotificationActor {
  if (actor.impersonator !== null) return { kind: 'account', name: actor.impersonator }
  if (actor.username === owner) return { kind: 'owner', ip: actor.ip }
  if (actor.username !== null) return { kind: 'account', name: actor.username }
  if (actor.operator !== null) return { kind: 'operator', name: actor.operator }
  return { kind: 'gate' }
}
