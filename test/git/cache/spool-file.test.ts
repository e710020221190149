// The bytes of an answer, read by several at their own speeds while they grow: in memory, in a file, and when the disk is full.
import fc from 'fast-check'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Room } from '../../../src/git/cache/spool-file.js'
import { Bytes } from '../../../src/git/cache/spool-file.js'

const MIB = 1_048_576

/** Reads all that comes, in parts of a size, until so many bytes are there. */
async function readAll(bytes: Bytes, total: number, part: number): Promise<Buffer> {
  const reader = {}
  bytes.enter(reader)
  const into = Buffer.alloc(part)
  const pieces: Buffer[] = []
  for (let position = 0; position < total;) {
    const count = await bytes.read(reader, position, into)
    if (count === undefined) throw new Error('it was left behind')
    pieces.push(Buffer.from(into.subarray(0, count)))
    position += count
    if (count === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  bytes.leave(reader)
  return Buffer.concat(pieces)
}

/** Room without an end, or with one. */
function room(onLost: (error?: unknown) => void = () => undefined, memory = true, disk = Infinity): Room {
  let left = disk
  return { claimMemory: () => memory, claimDisk: (bytes) => (left -= bytes) >= 0, release: () => undefined, onLost }
}

function numbered(lengths: readonly number[]): Buffer[] {
  let next = 0
  return lengths.map((length) => Buffer.from(Uint32Array.from({ length: Math.ceil(length / 4) }, () => next++).buffer))
}

t.test(
  'whatever the lengths of the pieces, and wherever they are kept, readers get all of them in their order',
  async (t) => {
    t.setTimeout(120_000)
    const folder = t.testdir()
    let files = 0
    const lengths = fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lengths, fc.boolean(), fc.boolean(), fc.nat(4 * MIB), async (sizes, isFull, memory, disk) => {
        // A folder that is not there fails the file, as a full disk does.
        const path = join(folder, isFull ? 'nowhere' : '.', String((files += 1)))
        const bytes = new Bytes(path, () => undefined, room(undefined, memory, disk))
        const pieces = numbered(sizes)
        const whole = Buffer.concat(pieces)
        const reading = [readAll(bytes, whole.length, 65_536), readAll(bytes, whole.length, 524_288)]
        for (const piece of pieces) await bytes.append(piece)
        await bytes.flush()
        for (const read of await Promise.all(reading)) if (!read.equals(whole)) throw new Error('other bytes came out')
        await bytes.dispose()
      }),
      { numRuns: 100 },
    )
  },
)

// Attack on memory: one reader stands still while the disk is full.
t.test('when the file can’t be written, the window in memory is bounded by its slowest reader', async (t) => {
  let lost = 0
  const bytes = new Bytes(
    join(t.testdir(), 'nowhere', '1'),
    () => undefined,
    room(() => (lost += 1)),
  )
  const slow = {}
  bytes.enter(slow)
  let appended = 0
  const appending = (async () => {
    for (; appended < 40; appended += 1) await bytes.append(Buffer.alloc(MIB, appended))
  })()
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.ok(appended < 14, `${appended} MiB are held`)
  t.equal(lost, 1)
  const whole = readAll(bytes, 40 * MIB, MIB)
  bytes.leave(slow)
  await appending
  await bytes.flush()
  t.equal((await whole).length, 40 * MIB)
})

t.test('a file goes when it is given up', async (t) => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'cache'))
  const path = join(folder, 'cache', '1')
  const bytes = new Bytes(path, () => undefined, room())
  for (let number = 0; number < 3; number += 1) await bytes.append(Buffer.alloc(MIB))
  await bytes.flush()
  t.equal(bytes.inMemory, undefined)
  await bytes.dispose()
  await t.rejects(readAllOnce(bytes))
})

async function readAllOnce(bytes: Bytes): Promise<void> {
  const reader = {}
  bytes.enter(reader)
  if ((await bytes.read(reader, 0, Buffer.alloc(10))) === 0) throw new Error('nothing is there')
}
