// Attack: the head of a push of 8 MiB of one-byte packets, as commands or as push options: 12 KB of gzip take 550 MB of memory and stop
// the gate for more than a second. Four of them end a gate with a heap of 1 GB.
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { decodePush } from '../../src/git/http/push-body.js'
import { encodePktLine } from '../../src/protocol/pkt-line.js'
import { PushHeadParser } from '../../src/protocol/push-head.js'
import { command, encodeHead, parseInPieces, signed } from '../protocol/push-bytes.js'

const TINY = Buffer.from('0005a')
const tiny = (count: number) => Buffer.concat(Array<Buffer>(count).fill(TINY))
const MAIN = command('refs/heads/main')

t.test('a malformed command is refused when it comes, not at the end of the list', async (t) => {
  t.match(new PushHeadParser().push(TINY), { kind: 'malformed', reason: /two object ids/ })
  t.match(parseInPieces([signed().subarray(0, -4), TINY]).parsing, { kind: 'malformed', reason: /is one line/ })
})

t.test('push options and the lines of a certificate are counted', async (t) => {
  // Neither list ends.
  const options = encodeHead({ commands: [MAIN], capabilities: 'push-options' })
  t.match(parseInPieces([options, tiny(1_000)]).parsing, { kind: 'more' })
  t.match(parseInPieces([options, tiny(1_001)]).parsing, { kind: 'malformed', reason: /more than 1000 options/ })
  const certificate = signed(encodePktLine('certificate version 0.1\n')).subarray(0, -4)
  const headers = (count: number) => Buffer.concat(Array<Buffer>(count).fill(encodePktLine('a\n')))
  t.match(parseInPieces([certificate, headers(99_000)]).parsing, { kind: 'more' })
  t.match(parseInPieces([certificate, headers(101_000)]).parsing, {
    kind: 'malformed',
    reason: /more than 100000 lines/,
  })
})

t.test('a head that inflates to far more than commands do is cut', async (t) => {
  const request = Object.assign(Readable.from([gzipSync(Buffer.concat([tiny(1_600_000)]))]), {
    headers: { 'content-encoding': 'gzip' },
    complete: true,
  }) as unknown as IncomingMessage
  await t.rejects(buffer(decodePush(request, new AbortController().signal)), {
    message: /inflates to more than 64 times/,
  })
})
