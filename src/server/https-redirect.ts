import type { Handler } from '../core/http.js'
import { sendTextUnread } from '../core/http.js'

const CREDENTIAL_HEADERS = ['authorization', 'private-token']

/**
 * Redirects plain HTTP to HTTPS. A request with a credential is refused instead: with a redirect it would
 * work, and users wouldn't notice that others on the network can read the credential. Git and browsers send none before a 401.
 *
 * @param publicUrl where people reach the gate, if that is configured
 * @param url where the gate listens
 */
export function httpsRedirect(publicUrl: string | undefined, url: () => string): Handler {
  return ({ request, response, target, record }) => {
    const base = publicUrl?.startsWith('https:') === true ? publicUrl : secureUrl(request.headers.host, url())
    if (base === undefined) return sendTextUnread(request, response, 400, 'Use HTTPS.')
    if (CREDENTIAL_HEADERS.some((name) => request.headers[name] !== undefined)) {
      record.decision = 'refused'
      record.rule = 'credential over plain HTTP'
      const text = `The credential was sent over plain HTTP, where others on the network can read it. Revoke the token, or change the password, and use ${base}/ from now on.`
      return sendTextUnread(request, response, 403, text)
    }
    sendTextUnread(request, response, 308, `Use ${base}/`, { Location: `${base}${target}`, Connection: 'close' })
  }
}

/** The host name that the client requested, with the port of HTTPS. */
function secureUrl(host: string | undefined, url: string): string | undefined {
  const requestedUrl = `http://${host ?? ''}`
  if (!URL.canParse(requestedUrl)) return undefined
  const { hostname, username } = new URL(requestedUrl)
  if (username !== '') return undefined
  const { port } = new URL(url)
  return `https://${hostname}${port === '' ? '' : `:${port}`}`
}
