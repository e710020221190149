import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { messageOf } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import type { Service } from '../../protocol/git-request.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { encodeRepositoryPath } from '../../protocol/repository-path.js'
import type { UpstreamTarget } from './forward.js'

/** How a request authenticates: with a credential, by a made-up user name, or not at all. */
export type StatusRequestAs = { readonly authorization?: Secret | undefined; readonly user?: string }

const TIMEOUT_MS = 5_000
const READINESS_TIMEOUT_MS = 2_000
// Anybody may ask for readiness; the upstream gets at most one request in this time.
const READINESS_INTERVAL_MS = 1_000
// No server has it. A real path, because servers may require the credential for paths of repositories only.
const MADE_UP_REPOSITORY = 'gitgate/readiness' as RepositoryPath
const GATEWAY_ERRORS = [502, 503, 504]

/**
 * Requests an advertisement from the upstream directly, as anybody could who reaches it.
 *
 * @returns the status of the response
 * @throws Error if the upstream can't be reached, or does not respond in time
 */
export async function requestStatus(
  { url, tls }: UpstreamTarget,
  repository: RepositoryPath,
  service: Service,
  { authorization, user }: StatusRequestAs,
  timeoutMs = TIMEOUT_MS,
): Promise<number> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  const target = new URL(
    `${url.href.replace(/\/$/, '')}/${encodeRepositoryPath(repository)}.git/info/refs?service=${service}`,
  )
  const headers = {
    ...(authorization === undefined ? {} : { Authorization: authorization.reveal() }),
    ...(user === undefined ? {} : { 'X-Forwarded-User': user }),
  }
  // A connection of its own, so that every request shows whether TLS still succeeds.
  const options = { agent: false, signal: AbortSignal.timeout(timeoutMs), headers, ...tls } as const
  return await new Promise((resolve, reject) => {
    const call = request(target, options, (response) => {
      resolve(response.statusCode ?? 0)
      response.destroy()
    })
    call.on('error', (error) => {
      reject(options.signal.aborted ? new Error(`no response within ${timeoutMs} ms`, { cause: error }) : error)
    })
    call.end()
  })
}

/**
 * Asks whether the upstream serves the gate: it can be reached, and accepts the gate's credential.
 *
 * @returns why it doesn't; `undefined` if it does
 */
export async function findUpstreamFailure(
  target: UpstreamTarget,
  authorization: Secret | undefined,
): Promise<string | undefined> {
  let status: number
  try {
    const as = { authorization }
    status = await requestStatus(target, MADE_UP_REPOSITORY, 'git-upload-pack', as, READINESS_TIMEOUT_MS)
  } catch (error) {
    return `the upstream can't be reached: ${messageOf(error)}`
  }
  if (GATEWAY_ERRORS.includes(status)) return `the upstream responds with ${status}`
  // Without a credential, servers that let everybody read some repositories respond with 401 for all others.
  if (authorization === undefined || (status !== 401 && status !== 403)) return undefined
  return `the upstream rejects the gate's credential (${status})`
}

/**
 * The readiness check of an upstream. Calls within a second share one request.
 *
 * @param findFailure {@link findUpstreamFailure} with the present credential and certificates
 * @param onChange called with the reason when the upstream fails or fails differently, and with `undefined` when it serves again
 */
export function upstreamReadiness(
  findFailure: () => Promise<string | undefined>,
  onChange: (failure: string | undefined) => void,
): () => Promise<boolean> {
  let lastFailure: string | undefined
  let checkedAt = Number.NEGATIVE_INFINITY
  let check = Promise.resolve(true)
  return async () => {
    if (performance.now() - checkedAt >= READINESS_INTERVAL_MS) {
      checkedAt = performance.now()
      check = findFailure().then((failure) => {
        if (failure !== lastFailure) onChange(failure)
        lastFailure = failure
        return failure === undefined
      })
    }
    return await check
  }
}
