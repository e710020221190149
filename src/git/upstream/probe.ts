import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Service } from '../../protocol/git-request.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Secret } from '../../core/secret.js'
import type { Target } from './forward.js'

const TIMEOUT = 5_000

/** Who to seem to be: with a credential, or by a name that one gives oneself. */
export type ProbeAs = { readonly authorization?: Secret | undefined; readonly user?: string }

/**
 * Asks an upstream for an advertisement, past the gate, as anybody could who reaches it.
 *
 * @returns the status that it answers with
 * @throws Error when it can't be reached, or does not answer within 5 seconds
 */
export async function probeUpstream(
  { url, ca }: Target,
  repository: RepositoryPath,
  service: Service,
  { authorization, user }: ProbeAs,
): Promise<number> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  const target = new URL(`${url.href.replace(/\/$/, '')}/${repository}.git/info/refs?service=${service}`)
  const options = {
    timeout: TIMEOUT,
    ...(ca === undefined ? {} : { ca }),
    headers: {
      ...(authorization === undefined ? {} : { Authorization: authorization.reveal() }),
      ...(user === undefined ? {} : { 'X-Forwarded-User': user }),
    },
  }
  return await new Promise((resolve, reject) => {
    const call = request(target, options, (answer) => {
      resolve(answer.statusCode ?? 0)
      answer.destroy()
    })
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT} ms`)))
    call.on('error', reject)
    call.end()
  })
}
