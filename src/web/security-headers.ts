import type { RequestContext } from '../core/http.js'
import type { WebOptions } from './web-options.js'

/**
 * What every page is sent with. Nothing is loaded from elsewhere, no script or style stands in the page itself, no other
 * site can frame it or is told its address, and no form goes elsewhere.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'Cache-Control': 'no-store',
  Vary: 'Accept',
}

// Half a year, for this host alone: what other hosts of the domain do is not ours to say (RFC 6797, 6.1).
const STRICT = { 'Strict-Transport-Security': `max-age=${180 * 86_400}` }

/**
 * What else a page is sent with over HTTPS: the browser comes by nothing else from then on. Never over plain HTTP (RFC 6797, 7.2),
 * and not while people are told an address without it.
 */
export function strictTransport(
  { isHttps }: Pick<RequestContext, 'isHttps'>,
  { hsts, baseUrl }: Pick<WebOptions, 'hsts' | 'baseUrl'>,
): Readonly<Record<string, string>> {
  return hsts && isHttps && baseUrl().startsWith('https:') ? STRICT : {}
}
