import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { SECOND } from '../core/clock.js'
import { messageOf } from '../core/errors.js'
import type { WebhookPost } from '../domain/notifications/webhook.js'
import type { Attempt } from './mail.js'

const WEBHOOK_TIMEOUT_MS = 10 * SECOND

/**
 * Posts to a webhook. Only 2xx says that it has arrived; a redirect is not followed, since its target is not the one that
 * was set.
 */
export async function postToWebhook(text: string, post: WebhookPost, ending: AbortSignal): Promise<Attempt> {
  const url = new URL(text)
  const timeout = AbortSignal.timeout(WEBHOOK_TIMEOUT_MS)
  // Only the URL's origin: its path may contain a secret.
  const failed = (reason: string): Attempt => ({ kind: 'failed', reason: `${url.origin} ${reason}`, isDown: false })
  try {
    const status = await sendRequest(url, post, AbortSignal.any([ending, timeout]))
    return status >= 200 && status < 300 ? { kind: 'accepted' } : failed(`answered ${status}`)
  } catch (error) {
    return failed(
      timeout.aborted ? `did not answer within ${WEBHOOK_TIMEOUT_MS / SECOND} s` : `failed: ${messageOf(error)}`,
    )
  }
}

/** @returns the status of the answer; its body is not read */
function sendRequest(url: URL, { body, headers }: WebhookPost, signal: AbortSignal): Promise<number> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const length = { 'Content-Length': String(Buffer.byteLength(body)) }
    const call = request(
      url,
      { method: 'POST', headers: { ...headers, ...length }, agent: false, signal },
      (answer) => {
        resolve(answer.statusCode ?? 0)
        answer.destroy()
      },
    )
    call.on('error', reject)
    call.end(body)
  })
}
