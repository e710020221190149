import type { Selectable } from 'kysely'
import type { By, News, NoticedToken, NoticeKind } from '../domain/notifications/notice.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { Schema } from './database-schema.js'
import type { Trail } from './audit-context.js'

/** What a notice tells, as its row keeps it: without the kind, which has a column of its own. */
export function factsOf(news: News): string {
  return JSON.stringify({ ...news, kind: undefined })
}

/** What a notice tells, from its row. */
export function newsFrom({ kind, facts }: Pick<Selectable<Schema['notices']>, 'kind' | 'facts'>): News {
  return { kind, ...(JSON.parse(facts, revive) as object) } as News
}

const INSTANTS = new Set(['at', 'createdAt', 'expiresAt', 'lastUsedAt', 'endsAt'])

function revive(key: string, value: unknown): unknown {
  return INSTANTS.has(key) && typeof value === 'string' ? new Date(value) : value
}

/** The kinds that an account has turned off, from its row. */
export function kindsOffFrom({ notices_off }: Pick<Selectable<Schema['accounts']>, 'notices_off'>): NoticeKind[] {
  return JSON.parse(notices_off) as NoticeKind[]
}

/** A token as notices tell of it. */
export function noticedToken(token: PersonalAccessToken): NoticedToken {
  const { id, name, description, scopes, createdAt, expiresAt, lastUsedAt } = token
  return { id, name, description, scopes, createdAt, expiresAt, lastUsedAt }
}

/** Who makes a change, as the owner of what is changed is told. */
export function byActor({ actor }: Trail, owner: string): By {
  if (actor.impersonator !== null) return { kind: 'account', name: actor.impersonator }
  if (actor.username === owner) return { kind: 'owner', ip: actor.ip }
  if (actor.username !== null) return { kind: 'account', name: actor.username }
  if (actor.operator !== null) return { kind: 'operator', name: actor.operator }
  return { kind: 'gate' }
}
