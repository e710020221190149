import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'

/** A request whose last byte isn't sent yet. */
type HeldRequest = {
  /** Sends the last byte. @returns the response; `undefined` if the gate has ended the connection */
  readonly finish: () => Promise<
    { readonly status: number; readonly location: string; readonly body: string } | undefined
  >
}

/** Sends a POST but for its last byte, and waits until the gate has authenticated it. */
export async function holdLastByte(
  world: World,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<HeldRequest> {
  let isInvited = false
  const call = request(`${world.url}${path}`, {
    method: 'POST',
    agent: false,
    // The gate invites the body once it has authenticated the request.
    headers: { ...headers, Expect: '100-continue', 'Content-Length': Buffer.byteLength(body) },
  })
  const answer = once(call, 'response').then(async ([response]: IncomingMessage[]) => {
    let text = ''
    for await (const chunk of response!) text += String(chunk)
    return { status: response!.statusCode ?? 0, location: response!.headers.location ?? '', body: text }
  })
  answer.catch(() => undefined)
  call.on('continue', () => {
    isInvited = true
    call.write(body.slice(0, -1))
  })
  call.flushHeaders()
  await until(() => isInvited)
  return {
    finish: () => {
      call.end(body.slice(-1))
      return answer.catch(() => undefined)
    },
  }
}
