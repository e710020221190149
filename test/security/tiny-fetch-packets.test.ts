// Attack: the body of a fetch, even an anonymous one, of 209,000 packets of one byte: 1.5 KB of gzip stop the gate for half a second,
// and 20 such requests for five.
import { Readable } from 'node:stream'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { gunzipStart } from '../../src/git/http/upload-pack.js'
import { parseUploadPackRequest, readCacheableRequest } from '../../src/git/cache/upload-pack-request.js'
import type { BackendRequest } from '../../src/protocol/backend.js'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import { ONE } from '../protocol/push-bytes.js'

const lsRefs = (packets: number): Buffer =>
  Buffer.concat([
    encodePktLine('command=ls-refs'),
    Buffer.from('0001'),
    ...Array<Buffer>(packets).fill(encodePktLine('peel')),
    FLUSH,
  ])

const fetchOf = (haves: number): Buffer =>
  Buffer.concat([
    encodePktLine('command=fetch'),
    Buffer.from('0001'),
    encodePktLine(`want ${ONE}`),
    ...Array<Buffer>(haves).fill(encodePktLine(`have ${ONE}`)),
    FLUSH,
  ])

t.test("a body of too many packets isn't parsed to its end", async (t) => {
  t.equal(parseUploadPackRequest(fetchOf(20_000), 'version=2').kind, 'fetch')
  t.equal(parseUploadPackRequest(fetchOf(25_000), 'version=2').kind, 'uncacheable')
})

// Attack: 20 lists of refs by 20,000 prefixes each, 53 KB of gzip, stop the gate for 0.6 s.
t.test('a list of refs by thousands of prefixes is left to Git', async (t) => {
  t.equal(parseUploadPackRequest(lsRefs(1_900), 'version=2').kind, 'refs')
  t.equal(parseUploadPackRequest(lsRefs(2_000), 'version=2').kind, 'uncacheable')
})

t.test("a body that inflates to more than object IDs do isn't inflated", async (t) => {
  const read = async (body: Buffer) =>
    await readCacheableRequest({
      phase: 'rpc',
      service: 'git-upload-pack',
      gitProtocol: 'version=2',
      contentEncoding: 'gzip',
      contentLength: body.length,
      body: Readable.from([body]),
    } as unknown as BackendRequest)
  t.match(await read(gzipSync(lsRefs(1_000))), { kind: 'cacheable' })
  t.match(await read(gzipSync(lsRefs(20_000))), { kind: 'uncacheable', request: { contentEncoding: 'gzip' } })
})

t.test('the start of a body, which shows the format of the response, is inflated within limits', async (t) => {
  t.equal(gunzipStart(gzipSync(Buffer.alloc(1_000_000, '0005a'))).length, 0)
  const haves = Array.from({ length: 3_000 }, () => encodePktLine(`have ${randomBytes(20).toString('hex')}`))
  t.equal(gunzipStart(gzipSync(Buffer.concat(haves)).subarray(0, 68 * 1_024)).length > 130_000, true)
})
