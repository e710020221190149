import { hash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import type { PendingTwoFactor, Member } from './principal.js'

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
  /** The keys of forms that were sent. */
  readonly sent?: readonly string[] | undefined
}

/** Whose session remembers. */
export type Visit = Pick<Member | PendingTwoFactor, 'session' | 'stores'> & Partial<Pick<Member, 'isHead'>>

/** What the session remembers. */
export async function readMemo({ session, stores }: Visit): Promise<Memo> {
  return parse(await stores.sessions.readMemo(session.id))
}

/** Has the session remember something more, or forget it (`undefined`). */
export async function updateMemo(visit: Visit, more: Memo): Promise<void> {
  await changeMemo(visit, (memo) => ({ ...memo, ...more }))
}

async function changeMemo({ session, stores, isHead }: Visit, change: (memo: Memo) => Memo): Promise<void> {
  if (isHead) return
  await stores.sessions.changeMemo(session.id, (memo) => {
    // What is forgotten does not get into the JSON.
    const text = JSON.stringify(change(parse(memo)))
    return text === '{}' ? undefined : new Secret(text, 'memo')
  })
}

function parse(memo: Secret | undefined): Memo {
  return memo === undefined ? {} : (JSON.parse(memo.reveal()) as Memo)
}

const KEPT_FORMS = 20

/**
 * Whether a form is sent for the first time; a form that creates something asks before it does. Its idempotency key is its
 * CSRF token, which is masked anew for each page.
 */
export async function isFirstSubmission(visit: Visit, { body }: FastifyRequest): Promise<boolean> {
  const key = hash('sha256', (body as { csrf_token: string }).csrf_token, 'base64url')
  let isFirst = true
  await changeMemo(visit, (memo) => {
    const sent = memo.sent ?? []
    isFirst = !sent.includes(key)
    return isFirst ? { ...memo, sent: [...sent, key].slice(-KEPT_FORMS) } : memo
  })
  return isFirst
}

/** Says something at the top of the next page: for answers that redirect. */
export async function say(visit: Visit, text: string, kind: Notice['kind'] = 'good'): Promise<void> {
  await unlessDiskFull(updateMemo(visit, { notice: { kind, text } }))
}

/** Takes what {@link say} has said. */
export async function takeNotice(visit: Visit): Promise<Notice | undefined> {
  const { notice } = await readMemo(visit)
  if (notice !== undefined) await unlessDiskFull(updateMemo(visit, { notice: undefined }))
  return notice
}

/** Does without what a page says at its top where that can't be written: a revocation was made all the same. */
async function unlessDiskFull(written: Promise<void>): Promise<void> {
  try {
    await written
  } catch (error) {
    if (!(error instanceof GitgateError && error.code === 'disk-full')) throw error
  }
}

const SHOWN_WITHIN = 3 * 60_000

/** Passes something that is shown once, such as a new token, over a redirect. It is gone after three minutes, or once taken. */
export async function passOnce(visit: Visit, what: string, value: unknown, now: Date): Promise<void> {
  await updateMemo(visit, { once: { what, value, until: now.getTime() + SHOWN_WITHIN } })
}

/** Takes what {@link passOnce} has passed. @returns `undefined` where there is nothing of that kind, or no more */
export async function takeOnce<T>(visit: Visit, what: string, now: Date): Promise<T | undefined> {
  const known = (await readMemo(visit)).once
  if (known?.what !== what) return undefined
  let once: Memo['once'] = visit.isHead === true ? known : undefined
  await changeMemo(visit, (memo) => {
    if (memo.once?.what !== what) return memo
    once = memo.once
    return { ...memo, once: undefined }
  })
  return once !== undefined && once.until > now.getTime() ? (once.value as T) : undefined
}
