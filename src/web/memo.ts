import { Secret } from '../secret.js'
import type { HalfSignedIn, Member } from './visitor.js'

/** What the next page says at its top: what was just done, or why not. */
export type Notice = { readonly kind: 'good' | 'bad'; readonly text: string }

/** What a session remembers between two requests. Encrypted in the store: there may be secrets in it. */
type Memo = {
  readonly notice?: Notice | undefined
  /** Shown once, and soon: a new token, recovery codes. */
  readonly once?: { readonly what: string; readonly value: unknown; readonly until: number } | undefined
  /** The second factor that is being set up. */
  readonly seed?: string | undefined
  /** Where somebody wanted to go before they were asked for the second factor. */
  readonly returnTo?: string | undefined
}

/** Whose session remembers. */
export type Visit = Pick<Member | HalfSignedIn, 'session' | 'stores'> & Partial<Pick<Member, 'isHead'>>

/** What the session remembers. */
export async function readMemo({ session, stores }: Visit): Promise<Memo> {
  const memo = await stores.sessions.readMemo(session.id)
  return memo === undefined ? {} : (JSON.parse(memo.reveal()) as Memo)
}

/** Has the session remember something more, or forget it (`undefined`). */
export async function updateMemo(visit: Visit, change: Memo): Promise<void> {
  if (visit.isHead) return
  // What is forgotten does not get into the JSON.
  const text = JSON.stringify({ ...(await readMemo(visit)), ...change })
  await visit.stores.sessions.writeMemo(visit.session.id, text === '{}' ? undefined : new Secret(text, 'memo'))
}

/** Says something at the top of the next page: for answers that redirect. */
export async function say(visit: Visit, text: string, kind: Notice['kind'] = 'good'): Promise<void> {
  await updateMemo(visit, { notice: { kind, text } })
}

const SHOWN_WITHIN = 3 * 60_000

/** Passes something that is shown once, such as a new token, over a redirect. It is gone after three minutes, or once taken. */
export async function passOnce(visit: Visit, what: string, value: unknown, now: Date): Promise<void> {
  await updateMemo(visit, { once: { what, value, until: now.getTime() + SHOWN_WITHIN } })
}

/** Takes what {@link passOnce} has passed. @returns `undefined` where there is nothing of that kind, or no more */
export async function takeOnce<T>(visit: Visit, what: string, now: Date): Promise<T | undefined> {
  const { once } = await readMemo(visit)
  if (once?.what !== what) return undefined
  await updateMemo(visit, { once: undefined })
  return once.until > now.getTime() ? (once.value as T) : undefined
}
