import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import type { PackCommits } from '../../src/protocol/pack-commits.js'
import { traceHistory } from '../../src/protocol/pack-commits.js'

/** The types that an entry of a pack may have; 0 and 5 are none. */
export const [COMMIT, TREE, BLOB, TAG] = [1, 2, 3, 4] as const

/** An entry of a pack, made by hand: it may tell a wrong type and a wrong size. @param level of its compression, 0 to 9 */
export function entryOf(content: Buffer, type: number = COMMIT, size: number = content.length, level = 6): Buffer {
  const head: number[] = []
  let byte = (type << 4) | (size & 15)
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    head.push(byte | 0x80)
    byte = rest & 0x7f
  }
  return Buffer.concat([Buffer.from([...head, byte]), deflateSync(content, { level })])
}

/** A pack of entries, without the digest at its end; it may tell a wrong count. */
export function packOf(entries: readonly Buffer[], count: number = entries.length): Buffer {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0')
  head.writeUInt32BE(count, 8)
  return Buffer.concat([head, ...entries])
}

/** The id of a commit, in SHA-1. */
export function idOf(content: Buffer): string {
  return createHash('sha1').update(`commit ${content.length}\0`).update(content).digest('hex')
}

/** Whether a pack proves that a commit descends from another; if not, the commits at which it ends. */
export async function traceAncestry(
  commits: PackCommits,
  from: string,
  to: string,
): Promise<{ readonly kind: 'proven' } | { readonly kind: 'open'; readonly edges: readonly string[] }> {
  const { commits: ancestors, edges } = await traceHistory(commits, from)
  return ancestors.has(to) ? { kind: 'proven' } : { kind: 'open', edges }
}
