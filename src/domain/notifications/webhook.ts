import { randomBytes } from 'node:crypto'
import { Webhook as WebhookSigner } from 'standardwebhooks'
import { GitgateError } from '../../core/errors.js'
import { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Delivery } from './delivery.js'
import type { NotificationActor, NotificationPayload, NotificationToken } from './notification.js'
import { daysLeft, tokensOf } from './notification.js'

/** A URL that notifications are posted to: those of one account, or everybody's. */
export type Webhook = {
  readonly id: number
  readonly accountId: number | null
  readonly url: string
  readonly createdAt: Date
}

/** Stores webhooks. */
export interface WebhookStore {
  /** @param accountId whose notifications it gets; `null`: everybody's */
  add(context: AuditContext, accountId: number | null, url: string, secret: Secret, now: Date): Promise<Webhook>
  /** With the secret that signs its requests. */
  find(id: number): Promise<(Webhook & { readonly secret: Secret }) | undefined>
  list(): Promise<Webhook[]>
  /** @returns false if there was none */
  remove(context: AuditContext, id: number): Promise<boolean>
}

const SECRET_BYTES = 32
const SECRET_PREFIX = 'whsec_'
const MAX_URL_LENGTH = 2_000

/** Generates the secret that verifies a webhook's signatures, in the format of Standard Webhooks. */
export function mintWebhookSecret(): Secret {
  return new Secret(`${SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`, 'webhook secret')
}

/**
 * Checks the URL of a webhook.
 *
 * @throws GitgateError `invalid`
 */
export function checkWebhookUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.href.length > MAX_URL_LENGTH)
    throw new GitgateError('invalid', 'a webhook needs an HTTP or HTTPS URL, such as https://bot.example.com/gitgate')
  if (url.username !== '' || url.password !== '') {
    throw new GitgateError(
      'invalid',
      "a webhook's URL can't contain a username or password; the receiver recognizes the gate by its signature",
    )
  }
  if (url.hash !== '') throw new GitgateError('invalid', "a webhook's URL can't have a fragment")
  return url.href
}

/** The body and headers of a request to a webhook. */
export type WebhookPost = { readonly body: string; readonly headers: Readonly<Record<string, string>> }

/** The request for a notification. */
export function webhookPost(
  { id, notification: { createdAt, recipient, payload } }: Delivery,
  secret: Secret,
  now: Date,
  tokensPage: string,
): WebhookPost {
  const { id: userId, username, name } = recipient
  const body = {
    id: String(id),
    event: payload.kind,
    created_at: createdAt.toISOString(),
    user: { id: userId, username, name },
    tokens: tokensOf(payload).map((token) => tokenBody(token, now)),
    ...detailsOf(payload),
    tokens_url: tokensPage,
  }
  return signed(body.id, payload.kind, JSON.stringify(body), secret, now)
}

/** The request that tests a webhook. */
export function testPost(id: string, secret: Secret, now: Date): WebhookPost {
  const body = { id, event: 'test', created_at: now.toISOString(), user: null, tokens: [] }
  return signed(id, 'test', JSON.stringify(body), secret, now)
}

/** Signs by https://www.standardwebhooks.com: over the ID and the time, too, so that a receiver can refuse replays. */
function signed(id: string, event: string, body: string, secret: Secret, now: Date): WebhookPost {
  const headers = {
    'Content-Type': 'application/json',
    'User-Agent': 'gitgate',
    'X-Gitgate-Event': event,
    'Webhook-Id': id,
    'Webhook-Timestamp': String(Math.floor(now.getTime() / 1_000)),
    'Webhook-Signature': signerFor(secret).sign(id, now, body),
  }
  return { body, headers }
}

/** Secrets of gitgate 0.1 have no prefix: their text is the key. */
function signerFor(secret: Secret): WebhookSigner {
  const text = secret.reveal()
  return text.startsWith(SECRET_PREFIX) ? new WebhookSigner(text) : new WebhookSigner(text, { format: 'raw' })
}

function tokenBody({ id, name, description, scopes, createdAt, expiresAt, lastUsedAt }: NotificationToken, now: Date) {
  return {
    id,
    name,
    description,
    scopes,
    created_at: createdAt.toISOString(),
    expires_at: expiresAt?.toISOString() ?? null,
    days_left: expiresAt === null ? null : Math.max(0, daysLeft(expiresAt, now)),
    last_used_at: lastUsedAt?.toISOString() ?? null,
  }
}

function detailsOf(payload: NotificationPayload): object {
  switch (payload.kind) {
    case 'expiring':
    case 'expired':
      return { more: payload.more }
    case 'created':
    case 'password-changed':
    case 'email-changed':
    case 'two-factor-enabled':
    case 'two-factor-disabled':
    case 'recovery-codes-renewed':
      return { by: actorBody(payload.by) }
    case 'revoked':
      return { by: actorBody(payload.by), rule: payload.rule }
    case 'rotated':
      return { by: actorBody(payload.by), old_secret_ends_at: payload.endsAt.toISOString() }
    case 'new-address':
      return {
        addresses: payload.addresses.map(({ ip, at }) => ({ ip, first_used_at: at.toISOString() })),
        more: payload.more,
      }
  }
}

function actorBody(actor: NotificationActor): object {
  return { kind: actor.kind, name: 'name' in actor ? actor.name : null, ip: 'ip' in actor ? actor.ip : null }
}
