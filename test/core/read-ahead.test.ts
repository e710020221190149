// The beginning of a stream, read and put back. The sender may leave at any time.
import { PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { readAhead, unread } from '../../src/core/read-ahead.js'

const PACK = Buffer.from('PACK\0\0\0\x02\0\0\0\0')
const KIBIBYTE = 1_024

/** A stream of some pieces, and then its end, or nothing more yet. */
function sending(pieces: readonly Buffer[], isAll = true): PassThrough {
  const stream = new PassThrough()
  for (const piece of pieces) stream.write(piece)
  if (isAll) stream.end()
  return stream
}

async function read(stream: Readable): Promise<Buffer> {
  return Buffer.concat((await stream.toArray()) as Buffer[])
}

/** Waits for the end of a stream without listening for its error. */
async function closed(stream: Readable): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.on('close', resolve))
}

t.test('bytes are put back before a stream, however it comes', async (t) => {
  const start = Buffer.alloc(100 * KIBIBYTE, 'start')
  const rest = Buffer.alloc(300 * KIBIBYTE, 'rest')
  const wanted = Buffer.concat([start, rest])
  t.ok((await read(unread(start, sending([rest])))).equals(wanted), 'all at once')
  const later = sending([], false)
  const joined = read(unread(start, later))
  for (let at = 0; at < rest.length; at += 70_000) {
    await turn()
    later.write(rest.subarray(at, at + 70_000))
  }
  later.end()
  t.ok((await joined).equals(wanted), 'one after the other')
  const over = sending([])
  await read(over)
  t.strictSame(await read(unread(PACK, over)), PACK, 'before one that was read to its end')
  const [first, second] = [sending([rest], false), sending([rest])]
  const waiting = unread(start, first)
  for (let count = 0; count < 100; count++) {
    await turn()
    first.write(rest.subarray(0, 60_000))
  }
  t.ok(
    waiting.readableLength < 500 * KIBIBYTE && first.writableLength > 5_000 * KIBIBYTE,
    'nobody reads it, and so it reads no more',
  )
  first.destroy()
  const held = await readAhead(second, 1_000)
  t.ok((await read(unread(held!, second))).equals(rest), 'and what was read ahead is as it was')
})

// Attack: a client that leaves after its commands were read: the error that nobody listened for ended the gate.
t.test('a source that fails takes the joined body with it, and is no fault', async (t) => {
  const faults: unknown[] = []
  const note = (error: unknown): number => faults.push(error)
  process.on('uncaughtException', note)
  t.teardown(() => process.off('uncaughtException', note))
  for (const error of [new Error('aborted'), undefined]) {
    for (const isLong of [false, true]) {
      const rest = sending(isLong ? [Buffer.alloc(200 * KIBIBYTE)] : [], false)
      const whole = unread(PACK, rest)
      await turn()
      rest.destroy(error)
      await closed(whole)
      t.ok(whole.destroyed && !whole.readableEnded)
      t.equal(whole.errored, error ?? null)
    }
  }
  for (const error of [new Error('aborted'), undefined]) {
    const gone = sending([PACK], false)
    gone.on('error', () => undefined)
    gone.destroy(error)
    t.ok(unread(PACK, gone).destroyed, 'before they are joined')
    await turn()
    t.ok(unread(PACK, gone).destroyed, 'long before')
  }
  await turn()
  t.strictSame(faults, [])
})

t.test('the first bytes are read ahead, or all of a shorter stream', async (t) => {
  const bytes = Buffer.alloc(200 * KIBIBYTE, 'bytes')
  const long = sending([bytes])
  const held = await readAhead(long, 50 * KIBIBYTE)
  t.ok(held !== undefined && held.length >= 50 * KIBIBYTE)
  t.ok(Buffer.concat([held!, await read(long)]).equals(bytes))
  t.strictSame(await readAhead(sending([PACK]), 1_000), PACK)
  t.strictSame(await readAhead(sending([]), 1_000), Buffer.alloc(0))
  const over = sending([])
  await read(over)
  t.strictSame(await readAhead(over, 1_000), Buffer.alloc(0), 'of one that was read to its end')
  const slow = sending([PACK], false)
  const waiting = readAhead(slow, PACK.length + 1)
  await turn()
  slow.write(PACK)
  t.strictSame(await waiting, Buffer.concat([PACK, PACK]), 'what was wanted, and a piece more')
  t.equal(slow.listenerCount('readable'), 0)
})

t.test('nothing is read ahead when the sender has left', async (t) => {
  for (const error of [undefined, new Error('aborted')]) {
    const left = sending([PACK], false)
    const waiting = readAhead(left, 1_000)
    await turn()
    left.destroy(error)
    t.equal(await waiting, undefined, 'meanwhile')
    t.equal(await readAhead(left, 1_000), undefined, 'before')
  }
})
