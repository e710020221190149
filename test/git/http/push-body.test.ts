// The bodies of pushes: cut anywhere, failing at any time. A client may leave whenever it likes.
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { PushHeads } from '../../../src/git/http/authorized-request.js'
import { decodePush, drain, readPushHead } from '../../../src/git/http/push-body.js'
import { command, encodeHead, plain } from '../../protocol/push-bytes.js'

const COMMANDS = [command('refs/heads/main'), command('refs/tags/v1')]
const HEAD = encodeHead({ commands: COMMANDS, capabilities: ' report-status push-options', options: ['ci.skip'] })
const PACK = Buffer.from('PACK\0\0\0\x02\0\0\0\0')
const PUSH = Buffer.concat([HEAD, PACK])
const KIBIBYTE = 1_024

/** Where a request would be: its bytes come when the test says so. */
class StandIn extends PassThrough {
  complete = false
  readonly headers: Readonly<Record<string, string>>

  constructor(headers: Readonly<Record<string, string>> = {}) {
    super()
    this.headers = headers
  }

  get asRequest(): IncomingMessage {
    return this as unknown as IncomingMessage
  }

  /** The client has sent all. */
  finish(): void {
    this.complete = true
    this.end()
  }
}

/** A stand-in that has sent some pieces, and then all, or nothing more yet. */
function sending(pieces: readonly Buffer[], isAll = true): StandIn {
  const request = new StandIn()
  for (const piece of pieces) request.write(piece)
  if (isAll) request.finish()
  return request
}

const readHead = (body: Readable, request: IncomingMessage) =>
  readPushHead(
    body,
    'ada',
    { request, traffic: () => ({ bytesIn: 0, bytesOut: 0 }), onEnd: () => undefined },
    new PushHeads(60_000),
  )

async function read(stream: Readable): Promise<Buffer> {
  return Buffer.concat((await stream.toArray()) as Buffer[])
}

t.test('a head is read from pieces cut anywhere, and the pack is left', async (t) => {
  for (let at = 0; at <= PUSH.length; at++) {
    const request = new StandIn()
    const reading = readHead(request, request.asRequest)
    request.write(PUSH.subarray(0, at))
    await turn()
    request.write(PUSH.subarray(at))
    request.finish()
    const start = await reading
    if (start.kind !== 'head' || !start.head.bytes.equals(HEAD)) t.fail(`cut at ${at} bytes it is ${start.kind}`)
    if (!(await read(request)).equals(PACK)) t.fail(`cut at ${at} bytes the pack is another`)
  }
})

// Attack: a client that leaves, or ends its body, anywhere: a push that waits for ever, or is done by half of its commands.
t.test('a push that ends anywhere has an end', async (t) => {
  for (let at = 0; at < PUSH.length; at++) {
    const isWhole = at >= HEAD.length
    const bytes = PUSH.subarray(0, at)
    const short = sending([bytes])
    const ended = await readHead(short, short.asRequest)
    t.equal(ended.kind, isWhole || at === 0 ? 'head' : 'malformed', `${at} bytes and the end`)
    if (ended.kind === 'head') t.equal(ended.head.commands.length, at === 0 ? 0 : COMMANDS.length)
    if (ended.kind === 'malformed') t.equal(ended.reason, 'it ends within its commands')
    for (const error of [undefined, new Error('aborted')]) {
      const left = sending([bytes], false)
      const reading = readHead(left, left.asRequest)
      await turn()
      left.destroy(error)
      // Where the head was read already, an error must find a listener, as it does in what comes next.
      left.on('error', () => undefined)
      t.equal((await reading).kind, isWhole ? 'head' : 'client-left', `${at} bytes and ${error?.message ?? 'no more'}`)
    }
  }
  const gone = new StandIn()
  gone.destroy()
  t.equal((await readHead(gone, gone.asRequest)).kind, 'client-left', 'who was gone before')
})

t.test('so has one that is compressed', async (t) => {
  const bytes = gzipSync(PUSH)
  const start = async (end: number, isAll: boolean) => {
    const request = new StandIn({ 'content-encoding': 'gzip' })
    const body = decodePush(request.asRequest, new AbortController().signal)
    const reading = readHead(body, request.asRequest)
    request.write(bytes.subarray(0, end))
    if (isAll) request.finish()
    else await turn()
    if (!isAll) request.destroy()
    return { found: await reading, body }
  }
  const { found, body } = await start(bytes.length, true)
  t.strictSame(found.kind === 'head' && plain(found.head.commands), COMMANDS)
  t.strictSame(await read(body), PACK)
  for (let end = 1; end < bytes.length; end++) {
    const short = (await start(end, true)).found
    // The last bytes are a checksum of what was read by then.
    if (short.kind === 'malformed') t.equal(short.reason, 'its compression is damaged', `${end} bytes`)
    else t.ok(short.kind === 'head' && end > bytes.length / 2, `${end} bytes are ${short.kind}`)
    const left = (await start(end, false)).found
    t.ok(['client-left', 'head'].includes(left.kind), `${end} bytes and gone are ${left.kind}`)
  }
})

t.test('a body is dropped up to a bound', async (t) => {
  const piece = Buffer.alloc(10 * KIBIBYTE)
  const dropped = async (body: Readable, limit: number, longAfter = Infinity) => {
    let long = 0
    const end = await drain(body, { limit, longAfter, onLong: () => long++ })
    t.equal(body.listenerCount('data'), 0)
    return [end, long]
  }
  const pieces = Array<Buffer>(10).fill(piece)
  const length = 100 * KIBIBYTE
  t.strictSame(await dropped(sending(pieces), length), ['complete', 0], 'as long as the bound')
  t.strictSame(await dropped(sending(pieces), length - 1), ['too-long', 0], 'longer')
  t.strictSame(await dropped(sending(pieces), Infinity, length), ['complete', 0])
  t.strictSame(await dropped(sending(pieces), Infinity, length - 1), ['complete', 1], 'what is long is told')
  t.strictSame(await dropped(sending(pieces), Infinity, 0), ['complete', 1], 'and told once')
  t.strictSame(await dropped(sending([]), 0, 0), ['complete', 0])
  const endless = sending(Array<Buffer>(100).fill(piece), false)
  t.strictSame(await dropped(endless, length), ['too-long', 0])
  await turn()
  t.ok(endless.isPaused() && endless.readableLength > 0, 'the rest stays where it is')
  const over = sending([])
  await read(over)
  t.strictSame(await dropped(over, 0), ['complete', 0], 'one that was read to its end')
  for (const error of [undefined, new Error('aborted')]) {
    const left = sending([piece], false)
    const waiting = dropped(left, length)
    await turn()
    left.destroy(error)
    t.strictSame(await waiting, ['client-left', 0], 'who leaves meanwhile')
    t.strictSame(await dropped(left, length), ['client-left', 0], 'who left before')
  }
})
