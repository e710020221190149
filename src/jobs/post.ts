import { messageOf } from '../errors.js'
import type { WebhookPost } from '../notices/webhook.js'
import type { Attempt } from './mail.js'

const TIMEOUT = 10_000

/** Posts to a webhook. Only 2xx says that it has arrived; a redirect is not followed, since its target is not the one that was set. */
export async function postToWebhook(
  url: string,
  { body, headers }: WebhookPost,
  ending: AbortSignal,
): Promise<Attempt> {
  // Of the URL only this is told: where it goes on, there may be a secret.
  const { origin } = new URL(url)
  const signal = AbortSignal.any([ending, AbortSignal.timeout(TIMEOUT)])
  try {
    const answer = await fetch(url, { method: 'POST', headers: { ...headers }, body, redirect: 'manual', signal })
    await answer.body?.cancel()
    return answer.ok
      ? { kind: 'accepted' }
      : { kind: 'failed', reason: `${origin} answered ${answer.status}`, isDown: false }
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : ''
    return { kind: 'failed', reason: `${origin}: ${messageOf(error)}${cause}`, isDown: false }
  }
}
