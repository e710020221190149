// Attack: a compressed push that inflates to a thousand times its size, of which nothing is needed: 2 MB of gzip cost 5 s of CPU.
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { decodePush, undecoded } from '../../src/git/http/push-body.js'
import { embedded } from '../backends/embedded.js'
import { ONLY, populate, ZERO } from '../acceptance/pushes.js'

const INFLATED = 64 * 1_048_576
const BOMB = Buffer.alloc(INFLATED)
const { signal: SIGNAL } = new AbortController()

/** A request of a compressed body. */
function compressed(bytes: Buffer): IncomingMessage {
  const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
    bytes.subarray(i * 65_536, (i + 1) * 65_536),
  )
  return Object.assign(Readable.from(pieces), {
    headers: { 'content-encoding': 'gzip' },
    complete: true,
  }) as unknown as IncomingMessage
}

t.test('what nobody needs is not inflated', async (t) => {
  const bytes = gzipSync(BOMB)
  const request = compressed(bytes)
  const body = decodePush(request, SIGNAL)
  t.equal((await buffer(undecoded(body, request))).length <= bytes.length, true)
  t.ok(body.destroyed)
})

t.test('what inflates to far more than a pack does is cut', async (t) => {
  await t.rejects(buffer(decodePush(compressed(gzipSync(BOMB)), SIGNAL)), { message: /inflates to more than 64 times/ })
  const pack = Buffer.alloc(1_048_576, 'commands ')
  t.equal((await buffer(decodePush(compressed(gzipSync(pack)), SIGNAL))).length, pack.length)
})

t.test('pushes that inflate are answered', async (t) => {
  const { old, next, post, refs, sound } = await populate(t, embedded)
  const table: readonly (readonly [name: string, lines: string[], body: RegExp])[] = [
    ['refused', [`${old} ${next} refs/heads/main`], new RegExp(ONLY)],
    [
      'of which deletions are left',
      [`${old} ${next} refs/heads/main`, `${old} ${ZERO} refs/heads/agent/x`],
      new RegExp(ONLY),
    ],
    ['accepted', [`${ZERO} ${next} refs/heads/agent/1`], /unpack (?!ok)/],
  ]
  for (const [name, lines, body] of table) {
    const answer = await post(lines, ' report-status', 'gzip', BOMB)
    t.equal(answer.status, 200, name)
    t.match(answer.body, body, name)
  }
  t.match(await refs(), `refs/heads/main ${old}`)
  t.equal(await sound(), '')
})
