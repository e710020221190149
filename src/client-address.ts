import { isIP } from 'node:net'
import { addressMatcher, plainAddress } from './address-list.js'

/**
 * Finds the address that a request comes from: the socket's, unless that is a trusted proxy; then the last one in
 * `X-Forwarded-For` that is none. What stands before it was written by whoever sent the request, and counts for nothing.
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
      if (hop === undefined || isIP(hop) === 0) return address
      address = plainAddress(hop)
    }
    return address
  }
}
