import { hash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import type { PendingTwoFactor, Member } from './principal.js'

/** A message at the top of the next page: what was just done, or why not. */
export type FlashMessage = { readonly kind: 'good' | 'bad'; readonly text: string }

/** What a session keeps between two requests. Encrypted in the store, since it may hold secrets. */
type SessionState = {
  readonly flash?: FlashMessage | undefined
  /** A one-time display: a new token, or recovery codes. */
  readonly once?: { readonly what: string; readonly value: unknown; readonly until: number } | undefined
  /** The second factor that is being set up. */
  readonly seed?: string | undefined
  /** The page to return to after the second factor. */
  readonly returnTo?: string | undefined
  /** The keys of submitted forms. */
  readonly sent?: readonly string[] | undefined
}

/** Access to the session of a request. */
export type SessionAccess = Pick<Member | PendingTwoFactor, 'session' | 'sessions'> & Partial<Pick<Member, 'isHead'>>

/** Reads the session's state. */
export async function readSessionState({ session, sessions }: SessionAccess): Promise<SessionState> {
  return parse(await sessions.readState(session.id))
}

/** Sets parts of the session's state, or removes them (`undefined`). */
export async function updateSessionState(visit: SessionAccess, more: SessionState): Promise<void> {
  await changeSessionState(visit, (state) => ({ ...state, ...more }))
}

async function changeSessionState(
  { session, sessions, isHead }: SessionAccess,
  change: (state: SessionState) => SessionState,
): Promise<void> {
  if (isHead) return
  await sessions.changeState(session.id, (state) => {
    // `undefined` is left out of the JSON.
    const text = JSON.stringify(change(parse(state)))
    return text === '{}' ? undefined : new Secret(text, 'session state')
  })
}

function parse(state: Secret | undefined): SessionState {
  return state === undefined ? {} : (JSON.parse(state.reveal()) as SessionState)
}

const MAX_KEPT_FORMS = 20

/**
 * Whether a form is submitted for the first time. Forms that create something check this first. The idempotency key of a form is
 * its CSRF token, which gets a new mask for each page.
 */
export async function isFirstSubmission(visit: SessionAccess, { body }: FastifyRequest): Promise<boolean> {
  const key = hash('sha256', (body as { csrf_token: string }).csrf_token, 'base64url')
  let isFirst = true
  await changeSessionState(visit, (state) => {
    const sent = state.sent ?? []
    isFirst = !sent.includes(key)
    return isFirst ? { ...state, sent: [...sent, key].slice(-MAX_KEPT_FORMS) } : state
  })
  return isFirst
}

/** Sets the flash message of the next page, for responses that redirect. */
export async function flash(visit: SessionAccess, text: string, kind: FlashMessage['kind'] = 'good'): Promise<void> {
  await unlessDiskFull(updateSessionState(visit, { flash: { kind, text } }))
}

/** Takes the message that {@link flash} has set. */
export async function takeFlashMessage(visit: SessionAccess): Promise<FlashMessage | undefined> {
  const { flash } = await readSessionState(visit)
  if (flash !== undefined) await unlessDiskFull(updateSessionState(visit, { flash: undefined }))
  return flash
}

/** On a full disk the flash message is lost. The revocation that it reports has been made. */
async function unlessDiskFull(written: Promise<void>): Promise<void> {
  try {
    await written
  } catch (error) {
    if (!(error instanceof GitgateError && error.code === 'disk-full')) throw error
  }
}

const ONE_TIME_DISPLAY_MS = 3 * 60_000

/** Keeps something for one display after a redirect, such as a new token. It is gone after three minutes, or once taken. */
export async function putOneTimeDisplay(visit: SessionAccess, what: string, value: unknown, now: Date): Promise<void> {
  await updateSessionState(visit, { once: { what, value, until: now.getTime() + ONE_TIME_DISPLAY_MS } })
}

/** Takes what {@link putOneTimeDisplay} has kept. @returns `undefined` if there is nothing of that kind, or it has expired */
export async function takeOneTimeDisplay<T>(visit: SessionAccess, what: string, now: Date): Promise<T | undefined> {
  const known = (await readSessionState(visit)).once
  if (known?.what !== what) return undefined
  let once: SessionState['once'] = visit.isHead === true ? known : undefined
  await changeSessionState(visit, (state) => {
    if (state.once?.what !== what) return state
    once = state.once
    return { ...state, once: undefined }
  })
  return once !== undefined && once.until > now.getTime() ? (once.value as T) : undefined
}
