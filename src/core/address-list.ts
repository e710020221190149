import { BlockList, isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { GitgateError } from './errors.js'
import { printable } from './printable.js'

/**
 * Parses addresses and networks, separated by commas or blanks: `127.0.0.1, 10.0.0.0/8, ::1`.
 *
 * @throws GitgateError `invalid`, naming the first bad entry
 */
export function parseAddressList(text: string): readonly string[] {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '')
  const wrong = entries.find((entry) => parseEntry(entry) === undefined)
  if (wrong !== undefined)
    throw new GitgateError('invalid', `"${printable(wrong)}" is not an IP address or a network such as 10.0.0.0/8`)
  return entries
}

const REMEMBERED_ADDRESSES = 1_000

/**
 * Returns a function that looks addresses up in a list of networks.
 *
 * @param entries from {@link parseAddressList}
 * @returns whether an address is in the list, also if it is an IPv4 address in IPv6 form (`::ffff:127.0.0.1`)
 */
export function addressMatcher(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const entry of entries) {
    const network = parseEntry(entry)
    if (network !== undefined) list.addSubnet(network.address, network.bits, network.family)
  }
  // Called for each request, mostly with the same few addresses. A look-up takes 10 µs.
  const known = new LRUCache<string, boolean>({ max: REMEMBERED_ADDRESSES })
  return (address) => {
    const remembered = known.get(address)
    if (remembered !== undefined) return remembered
    const plain = plainAddress(address)
    const family = familyOf(plain)
    const isIn = family !== undefined && list.check(plain, family)
    known.set(address, isIn)
    return isIn
  }
}

/** Converts an IPv4 address in IPv6 form, as a dual-stack socket shows it, to its own form. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address
}

type Network = { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' }

function parseEntry(entry: string): Network | undefined {
  const slash = entry.indexOf('/')
  const address = slash === -1 ? entry : entry.slice(0, slash)
  const family = familyOf(address)
  if (family === undefined) return undefined
  const most = family === 'ipv4' ? 32 : 128
  if (slash === -1) return { address, bits: most, family }
  const digits = entry.slice(slash + 1)
  const bits = /^\d{1,3}$/.test(digits) ? Number(digits) : most + 1
  return bits <= most ? { address, bits, family } : undefined
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address)
  if (version === 0) return undefined
  return version === 4 ? 'ipv4' : 'ipv6'
}
