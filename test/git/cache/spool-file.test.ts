// The bytes of an answer, read by several at their own speeds while they grow: in memory, in a file, and when the disk is full.
import fc from 'fast-check'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { StorageBudget } from '../../../src/git/cache/spool-file.js'
import { SpoolFile } from '../../../src/git/cache/spool-file.js'

const MIB = 1_048_576

/** Reads all that comes, in parts of a size, until so many bytes are there. */
async function readAll(spool: SpoolFile, total: number, part: number): Promise<Buffer> {
  const reader = {}
  spool.addReader(reader)
  const into = Buffer.alloc(part)
  const pieces: Buffer[] = []
  for (let position = 0; position < total;) {
    const count = await spool.read(reader, position, into)
    if (count === undefined) throw new Error('the reader was dropped')
    pieces.push(Buffer.from(into.subarray(0, count)))
    position += count
    if (count === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  spool.removeReader(reader)
  return Buffer.concat(pieces)
}

/** A budget without limits, or with them. */
function budget(onLost: (error?: unknown) => void = () => undefined, memory = true, disk = Infinity): StorageBudget {
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
        const spool = new SpoolFile(path, () => undefined, budget(undefined, memory, disk))
        const pieces = numbered(sizes)
        const whole = Buffer.concat(pieces)
        const reading = [readAll(spool, whole.length, 65_536), readAll(spool, whole.length, 524_288)]
        for (const piece of pieces) await spool.append(piece)
        await spool.flush()
        for (const read of await Promise.all(reading)) if (!read.equals(whole)) throw new Error('other bytes came out')
        await spool.dispose()
      }),
      { numRuns: 100 },
    )
  },
)

// Attack on memory: one reader stands still while the disk is full.
t.test('when the file can’t be written, the window in memory is bounded by its slowest reader', async (t) => {
  let lost = 0
  const spool = new SpoolFile(
    join(t.testdir(), 'nowhere', '1'),
    () => undefined,
    budget(() => (lost += 1)),
  )
  const slow = {}
  spool.addReader(slow)
  let appended = 0
  const appending = (async () => {
    for (; appended < 40; appended += 1) await spool.append(Buffer.alloc(MIB, appended))
  })()
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.ok(appended < 14, `${appended} MiB are held`)
  t.equal(lost, 1)
  const whole = readAll(spool, 40 * MIB, MIB)
  spool.removeReader(slow)
  await appending
  await spool.flush()
  t.equal((await whole).length, 40 * MIB)
})

t.test('a file goes when it is given up', async (t) => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'cache'))
  const path = join(folder, 'cache', '1')
  const spool = new SpoolFile(path, () => undefined, budget())
  for (let number = 0; number < 3; number += 1) await spool.append(Buffer.alloc(MIB))
  await spool.flush()
  t.equal(spool.inMemory, undefined)
  await spool.dispose()
  await t.rejects(readAllOnce(spool))
})

async function readAllOnce(spool: SpoolFile): Promise<void> {
  const reader = {}
  spool.addReader(reader)
  if ((await spool.read(reader, 0, Buffer.alloc(10))) === 0) throw new Error('nothing is there')
}
