import { isIP } from 'node:net'
import { addressMatcher, plainAddress } from '../core/address-list.js'

/**
 * Finds the client's address: the socket's, or if that is a trusted proxy, the last one in `X-Forwarded-For` that isn't. Earlier
 * ones are ignored, because the client can write anything there.
 *
 * @param trustedProxies addresses and networks
 */
export function clientAddressResolver(trustedProxies: readonly string[]) {
  const isTrusted = addressMatcher(trustedProxies)
  return (socketAddress: string, forwardedFor: string | undefined): string => {
    let address = plainAddress(socketAddress)
    const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim())
    while (isTrusted(address)) {
      const hop = hops.pop()
      const next = hop === undefined ? undefined : hopAddress(hop)
      if (next === undefined) return address
      address = next
    }
    return address
  }
}

/**
 * Tells whether a client uses HTTPS: with the gate itself, or with a trusted proxy, by the last value in `X-Forwarded-Proto`, which
 * is the proxy's own.
 *
 * @param trustedProxies addresses and networks
 */
export function httpsDetector(trustedProxies: readonly string[]) {
  const isTrusted = addressMatcher(trustedProxies)
  return (
    socket: { readonly encrypted?: boolean; readonly remoteAddress?: string | undefined },
    forwardedProto: string | undefined,
  ): boolean =>
    socket.encrypted === true ||
    (forwardedProto?.split(',').at(-1)?.trim().toLowerCase() === 'https' &&
      isTrusted(plainAddress(socket.remoteAddress ?? '')))
}

/** The address of a hop in its canonical form, without the port that some proxies add. */
function hopAddress(hop: string): string | undefined {
  const [, v6, v4] = /^\[(.+)\](?::\d+)?$|^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop) ?? []
  const address = plainAddress(v6 ?? v4 ?? hop)
  switch (isIP(address)) {
    case 4:
      return address
    case 6:
      // `2001:0db8::0:1` and `2001:db8::1` are one address, and must count as one.
      return address.includes('%') ? address : new URL(`http://[${address}]`).hostname.slice(1, -1)
    default:
      return undefined
  }
}
