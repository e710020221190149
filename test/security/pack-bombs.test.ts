// Attacks on the proof that a push before an upstream is a fast-forward: small packs that make it large, or long to walk.
import { deflateSync } from 'node:zlib'
import t from 'tap'
import { readCommits } from '../../src/protocol/pack-commits.js'
import { COMMIT, entryOf, idOf, packOf } from '../protocol/pack-bytes.js'
import { turnsDuring } from './turns.js'

const TREE_LINE = `tree ${'0'.repeat(40)}\n`
const PEOPLE = 'author a <a> 0 +0000\ncommitter a <a> 0 +0000\n\n'
const ID_DELTA = 7
const LARGE = Buffer.from(`${TREE_LINE}${PEOPLE}`.padEnd(262_144, 'x'))
const LARGE_ID = Buffer.from(idOf(LARGE), 'hex')

/** A number as deltas write it: seven bits a byte, the lowest first. */
function sizeOf(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...sizeOf(Math.floor(value / 128))]
}

/** A delta that copies all of the large commit but its end, which becomes a number. */
function copyOfLarge(index: number): Buffer {
  const copied = LARGE.length - 4
  const copy = [0xf0, copied & 0xff, (copied >> 8) & 0xff, copied >> 16]
  const sizes = [...sizeOf(LARGE.length), ...sizeOf(LARGE.length)]
  const delta = Buffer.from([...sizes, ...copy, 4, ...Buffer.from(`${index}`.padStart(4, '0'))])
  const head = Buffer.from([(ID_DELTA << 4) | 0x80 | (delta.length & 15), delta.length >> 4])
  return Buffer.concat([head, LARGE_ID, deflateSync(delta)])
}

// Attack: a delta bomb. 9,990 deltas that copy a commit of 256 KiB stalled the gate for 5.4 s and took 2.7 GB.
t.test('deltas that make far more than was sent are not resolved', async (t) => {
  const pack = packOf([entryOf(LARGE, COMMIT), ...Array.from({ length: 9_990 }, (_, index) => copyOfLarge(index))])
  t.ok(pack.length < 1_048_576)
  const { result, longestMs } = await turnsDuring(() => readCommits(pack, 40))
  t.equal(result.isComplete, false)
  t.ok(result.parents.size <= 40, `${result.parents.size} commits are kept`)
  t.ok(longestMs < 200, `${longestMs} ms`)
})

// Attack: each small commit of a pack kept a buffer of 16 KiB, so that 1 MiB took 160 MB.
t.test('commits are kept in as much memory as they have bytes', async (t) => {
  const commits = Array.from({ length: 9_000 }, (_, index) => entryOf(Buffer.from(`${TREE_LINE}${PEOPLE}${index}`)))
  const pack = packOf(commits)
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 1)
  const { result, turns, longestMs } = await turnsDuring(() => readCommits(pack, 40))
  clearInterval(watch)
  t.equal(result.parents.size, commits.length)
  t.ok(most < 48 * 1_048_576, `${most} bytes`)
  t.ok(turns > 2, `others run in between: ${turns} turns`)
  t.ok(longestMs < 200, `${longestMs} ms`)
})
