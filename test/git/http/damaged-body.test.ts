// Attack: a push that is damaged behind its head, or whose client leaves, when nobody reads it any more. It ended the gate.
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import { PushHeads } from '../../../src/git/http/authorized-request.js'
import { decodePush, readPushHead } from '../../../src/git/http/push-body.js'
import { command, encodeHead } from '../../protocol/push-bytes.js'

const HEAD = encodeHead({ commands: [command('refs/heads/main')], capabilities: ' report-status', options: [] })
// The head of a gzip stream, and a first block that is not its last.
const GZIP = Buffer.concat([Buffer.from('1f8b0800000000000003', 'hex'), deflateRawSync(HEAD, { finishFlush: 2 })])

t.test('damage behind a compressed head ends nothing', async (t) => {
  for (const end of ['garbage', 'abort']) {
    const request = Object.assign(new PassThrough(), { complete: false, headers: { 'content-encoding': 'gzip' } })
    request.on('error', () => undefined)
    const body = decodePush(request as unknown as IncomingMessage, new AbortController().signal)
    const context = {
      request: request as unknown as IncomingMessage,
      traffic: () => ({ bytesIn: 0, bytesOut: 0 }),
      onEnd: () => undefined,
    }
    const reading = readPushHead(body, 'ada', context, new PushHeads(60_000))
    request.write(GZIP)
    t.equal((await reading).kind, 'head')
    body.resume()
    if (end === 'garbage') request.write(Buffer.alloc(1_000, 0xff))
    else request.destroy(new Error('aborted'))
    for (let waited = 0; waited < 10_000 && !body.destroyed; waited += 10) await pause(10)
    t.ok(body.destroyed, end)
  }
})
