// Attack: the body of a fetch, even an anonymous one, of 209,000 packets of one byte: 1.5 KB of gzip stop the gate for half a second,
// and 20 such requests for five.
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { parseUploadPackRequest, readCacheableRequest } from '../../src/git/cache/upload-pack-request.js'
import type { BackendRequest } from '../../src/protocol/backend.js'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'

const lsRefs = (packets: number): Buffer =>
  Buffer.concat([
    encodePktLine('command=ls-refs'),
    Buffer.from('0001'),
    ...Array<Buffer>(packets).fill(encodePktLine('peel')),
    FLUSH,
  ])

t.test("a body of too many packets isn't parsed to its end", async (t) => {
  t.equal(parseUploadPackRequest(lsRefs(1_000), 'version=2').kind, 'refs')
  t.equal(parseUploadPackRequest(lsRefs(25_000), 'version=2').kind, 'uncacheable')
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
