import { BlockList, isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { GitgateError } from './errors.js'
import { printable } from './printable.js'

/**
 * Reads addresses and networks with commas or blanks between: `127.0.0.1, 10.0.0.0/8, ::1`.
 *
 * @throws GitgateError `invalid`, naming the entry that is neither
 */
export function parseAddressList(text: string): readonly string[] {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '')
  const wrong = entries.find((entry) => parseEntry(entry) === undefined)
  if (wrong !== undefined)
    throw new GitgateError('invalid', `"${printable(wrong)}" is neither an IP address nor a network such as 10.0.0.0/8`)
  return entries
}

const REMEMBERED_ADDRESSES = 1_000

/**
 * A list of networks that addresses can be looked up in.
 *
 * @param entries what {@link parseAddressList} has read
 * @returns whether an address is in it; an IPv4 address counts in its IPv6 form (`::ffff:127.0.0.1`), too
 */
export function addressMatcher(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const entry of entries) {
    const network = parseEntry(entry)
    if (network !== undefined) list.addSubnet(network.address, network.bits, network.family)
  }
  // Asked at each request, mostly about the same few: a look into the list takes 10 µs.
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

/** An IPv4 address that a dual-stack socket shows in IPv6 form, in its own form again. */
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
