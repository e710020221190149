// The bytes of a response while it grows, for several readers at their own speeds: in memory, in a file, and on a full disk.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import type { StorageBudget } from '../../../src/git/cache/spool-file.js'
import { SpoolFile } from '../../../src/git/cache/spool-file.js'

const MIB = 1_048_576
const STALL_TIMEOUT_MS = 30_000

/** Reads everything, in parts of a size, until a total has come. */
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
    if (count === 0) await turn()
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

t.test('readers get all bytes in order, whatever the lengths of the pieces and wherever they are stored', async (t) => {
  t.setTimeout(120_000)
  const folder = t.testdir()
  let files = 0
  const lengths = fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(lengths, fc.boolean(), fc.boolean(), fc.nat(4 * MIB), async (sizes, fails, memory, disk) => {
      // Opening a file in a missing folder fails, as writing on a full disk does.
      const path = join(folder, fails ? 'nowhere' : '.', String((files += 1)))
      const spool = new SpoolFile(path, () => undefined, budget(undefined, memory, disk))
      const pieces = numbered(sizes)
      const all = Buffer.concat(pieces)
      const reading = [readAll(spool, all.length, 65_536), readAll(spool, all.length, 524_288)]
      for (const piece of pieces) await spool.append(piece)
      await spool.flush()
      for (const read of await Promise.all(reading)) if (!read.equals(all)) throw new Error('other bytes came out')
      await spool.dispose()
    }),
    { numRuns: 100 },
  )
})

/** A spool on a full disk, with two readers that have read nothing, filled until it takes no more. */
async function fullSpool(t: Test) {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const errors: unknown[] = []
  const onLost = budget((error) => errors.push(error))
  const spool = new SpoolFile(join(t.testdir(), 'nowhere', '1'), () => undefined, onLost)
  t.teardown(() => spool.dispose())
  const readers = [{}, {}] as const
  for (const reader of readers) spool.addReader(reader)
  const into = Buffer.alloc(MIB)
  const read = async (reader: object, mebibytes: number) => await spool.read(reader, mebibytes * MIB, into)
  // The second piece is too much for memory.
  for (const number of [0, 1]) await spool.append(Buffer.alloc(MIB, number))
  t.equal(errors.length, 1)
  for (let mebibytes = 2; mebibytes < 40; mebibytes += 1) {
    const appending = spool.append(Buffer.alloc(MIB, mebibytes))
    if (await waits(appending)) return { spool, readers, read, into, appending, mebibytes: mebibytes + 1 }
  }
  throw new Error('it takes everything')
}

async function waits(promise: Promise<unknown>): Promise<boolean> {
  return (await Promise.race([promise, turn('waits')])) === 'waits'
}

// Attack on memory: one reader reads nothing while the disk is full.
t.test('on a full disk, memory is bounded: the response waits for its slowest reader', async (t) => {
  const { spool, readers, read, appending, mebibytes } = await fullSpool(t)
  const [fast, slow] = readers
  t.equal(mebibytes, 9)
  for (let position = 0; position < mebibytes; position += 1) t.equal(await read(fast, position), MIB)
  t.ok(await waits(appending), 'the fast reader alone makes no room')
  await read(slow, 0)
  await appending
  t.equal(spool.length, mebibytes * MIB)
})

// Attack: a client stops reading, so that all others that share the response wait for it.
t.test('a reader that stalls while another one waits for more is dropped after 30 seconds', async (t) => {
  const { spool, readers, read, into, appending, mebibytes } = await fullSpool(t)
  const [fast, stalled] = readers
  for (let position = 0; position < mebibytes; position += 1) await read(fast, position)
  mock.timers.tick(STALL_TIMEOUT_MS - 1)
  t.ok(await waits(appending))
  mock.timers.tick(1)
  await appending
  t.equal(await read(stalled, 0), undefined)
  await spool.append(Buffer.alloc(MIB, 77))
  t.equal(await read(fast, mebibytes), MIB)
  t.equal(into[0], 77)
})

t.test('while no reader waits for more, none is dropped', async (t) => {
  const { readers, read, appending, mebibytes } = await fullSpool(t)
  const [slow, stalled] = readers
  for (let position = 0; position < mebibytes - 1; position += 1) await read(slow, position)
  mock.timers.tick(10 * STALL_TIMEOUT_MS)
  t.ok(await waits(appending))
  t.equal(await read(stalled, 0), MIB)
  await appending
})

t.test('a spool that is disposed of removes its file, and nobody waits for its readers', async (t) => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'cache'))
  const path = join(folder, 'cache', '1')
  const spool = new SpoolFile(path, () => undefined, budget())
  for (let number = 0; number < 3; number += 1) await spool.append(Buffer.alloc(MIB))
  await spool.flush()
  t.equal(spool.inMemory, undefined)
  t.ok(existsSync(path))
  await spool.dispose()
  t.notOk(existsSync(path))

  const full = await fullSpool(t)
  await full.spool.dispose()
  await full.appending
})
