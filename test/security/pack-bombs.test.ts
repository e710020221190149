// Attacks on the proof that a push before an upstream is a fast-forward: small packs that make it large, or long to walk.
import { deflateSync } from 'node:zlib'
import type { Test } from 'tap'
import t from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { readCommits } from '../../src/protocol/pack-commits.js'
import { createWorld } from '../acceptance/world.js'
import { httpUpstream } from '../git/upstream/stand-in.js'
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

/** A gate before an upstream that knows nothing, and a token that may not force. */
async function openPusher(t: Test) {
  const paths: string[] = []
  const upstream = await httpUpstream(t, (request, response) => {
    paths.push(request.url ?? '')
    request.resume().on('end', () => response.end('0008NAK\n'))
  })
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'write', 'team/**')
  const restrictions = parseRestrictions([], ['*:create,update'])
  const { secret } = await world.issue('alice', ['write_repository'], { restrictions })
  const push = async (newIds: readonly string[], pack: Buffer) => {
    const lines = newIds.map(
      (id, index) => `${'e'.repeat(40)} ${id} refs/heads/b${index}${index === 0 ? '\0report-status' : ''}`,
    )
    const head = lines.map((line) => (line.length + 4).toString(16).padStart(4, '0') + line).join('')
    return await world.http('/team/app.git/git-receive-pack', {
      method: 'POST',
      password: secret.reveal(),
      body: Buffer.concat([Buffer.from(`${head}0000`, 'latin1'), pack]),
      headers: { 'Content-Type': 'application/x-git-receive-pack-request' },
    })
  }
  const count = (service: string) => paths.filter((url) => url.endsWith(`/${service}`)).length
  return { push, count }
}

/** Commits one after the other, from a root. */
function chainOf(length: number): { readonly ids: readonly string[]; readonly pack: Buffer } {
  const ids: string[] = []
  const entries: Buffer[] = []
  for (let index = 0; index < length; index += 1) {
    const parent = index === 0 ? '' : `parent ${ids[index - 1]}\n`
    const content = Buffer.from(`${TREE_LINE}${parent}${PEOPLE}`)
    ids.push(idOf(content))
    entries.push(entryOf(content))
  }
  return { ids, pack: packOf(entries) }
}

// Attack: commands times commits. 10,000 commands that want the tip of 4,000 commits (287 KB) stalled the gate for 8.8 s.
t.test('the history of a commit that many refs want is walked once', async (t) => {
  const { push, count } = await openPusher(t)
  const { ids, pack } = chainOf(4_000)
  const { result, longestMs } = await turnsDuring(() => push(Array<string>(10_000).fill(ids.at(-1) ?? ''), pack))
  t.equal(result.body.match(/ng refs/g)?.length, 10_000)
  t.equal(count('git-receive-pack'), 0)
  t.ok(longestMs < 400, `${longestMs} ms`)
})

// Attack: the same with another commit of the chain for each command, so that no walk serves two.
t.test('refs that want different commits of a long history are walked up to a bound', async (t) => {
  const { push, count } = await openPusher(t)
  const { ids, pack } = chainOf(4_000)
  const { result, longestMs } = await turnsDuring(() => push(ids, pack))
  t.equal(result.body.match(/ng refs/g)?.length, ids.length)
  t.match(result.body, /too many branches/)
  t.equal(count('git-receive-pack'), 0)
  t.ok(longestMs < 400, `${longestMs} ms`)
})

// Attack: a push of many refs, each of which costs the upstream a request.
t.test('a push costs the upstream 500 questions at most', async (t) => {
  const { push, count } = await openPusher(t)
  const newIds = Array.from({ length: 520 }, (_, index) => `${index}`.padStart(40, 'a'))
  const { body } = await push(newIds, packOf([]))
  t.equal(count('git-upload-pack'), 500)
  t.equal(body.match(/too many branches/g)?.length, 20)
})
