// What the cache keeps and for how long: its quota, and files that others remove or truncate.
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t from 'tap'
import { until, within } from '../../acceptance/until.js'
import type { Test } from 'tap'
import type { ServeOutcome } from '../../../src/protocol/backend.js'
import type { CacheEntry } from '../../../src/git/cache/cache-entry.js'
import { ResponseCache } from '../../../src/git/cache/response-cache.js'

const MIB = 1_048_576
const ANSWERED: ServeOutcome = { kind: 'answered' }

function openCache(t: Test, quota: number, disabledMs?: number) {
  const folder = join(t.testdir(), 'cache')
  const lost: unknown[] = []
  const onLost = (error: unknown) => lost.push(error)
  const cache = new ResponseCache({
    folder,
    quota,
    onLost,
    firstProgressMs: 1_000,
    ...(disabledMs === undefined ? {} : { disabledMs }),
  })
  t.teardown(() => cache.close())
  const files = () => readdirSync(folder).map((name) => join(folder, name))
  const size = () => files().reduce((sum, name) => sum + (statSync(name, { throwIfNoEntry: false })?.size ?? 0), 0)
  /** Produces a response, and keeps it. */
  const record = async (key: string, bytes: Buffer, whilst: () => void = () => undefined) => {
    const entry = cache.begin(key)
    const input = entry.writable(() => undefined)
    for (let at = 0; at < bytes.length; at += 65_536) {
      await write(input, bytes.subarray(at, at + 65_536))
      whilst()
    }
    await entry.finish(ANSWERED)
    cache.keep(key, entry)
    return entry
  }
  return { cache, folder, lost, files, size, record }
}

async function write(input: Writable, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => input.write(bytes, () => resolve()))
}

/** A client that reads a response; if held, only its first piece until it is let go. */
function client(isHeld = false) {
  const pieces: Buffer[] = []
  let letGo = (): void => undefined
  const isLetGo = isHeld ? new Promise<void>((resolve) => (letGo = resolve)) : Promise.resolve()
  const stream = new Writable({
    write(piece: Buffer, _encoding, done) {
      pieces.push(Buffer.from(piece))
      void isLetGo.then(() => done())
    },
  })
  const controller = new AbortController()
  return {
    letGo: () => letGo(),
    leave: () => controller.abort(),
    read: async (entry: CacheEntry) =>
      await entry.pipeTo(
        { slotRequest: { account: 'alice', isSmall: false }, signal: controller.signal },
        { begin: () => stream, onQueued: () => undefined },
      ),
    bytes: () => Buffer.concat(pieces),
  }
}

t.test('evicted entries leave the disk, and the folder stays under its quota', async (t) => {
  const { cache, record, size, files } = openCache(t, 8 * MIB)
  let most = 0
  for (let number = 0; number < 20; number += 1) {
    await record(`key ${number}`, Buffer.alloc(3 * MIB, number), () => (most = Math.max(most, size())))
    await until(() => files().length <= 2)
  }
  t.ok(most <= 8 * MIB, `${most} bytes at most`)
  t.ok(cache.counts.bytes <= 8 * MIB)
  t.ok(cache.counts.evicted >= 17)
  t.equal(cache.find('key 0'), undefined)
  t.not(cache.find('key 19'), undefined)
})

t.test('a client that joins counts for the slot only while the response is in progress', async (t) => {
  const { cache } = openCache(t, 10 * MIB)
  const entry = cache.begin('key')
  const joined: string[] = []
  entry.onJoin((account) => joined.push(account))
  const reading = client().read(entry)
  await write(
    entry.writable(() => undefined),
    Buffer.from('response'),
  )
  await entry.finish(ANSWERED)
  await reading
  await client().read(entry)
  t.strictSame(joined, ['alice'])
})

t.test('after clear, neither complete entries nor those in progress are found, but readers get the rest', async (t) => {
  const { cache, files, record } = openCache(t, 10 * MIB)
  await record('kept', randomBytes(MIB))
  const bytes = randomBytes(MIB)
  let isCleared = false
  const clear = (): void => {
    if (!isCleared) cache.clear()
    isCleared = true
  }
  const running = await record('running', bytes, clear)
  t.equal(cache.find('kept'), undefined)
  t.equal(cache.find('running'), undefined)
  t.equal(running.end?.kind, 'answered')
  t.match(cache.counts, { entries: 0, bytes: 0 })
  t.strictSame(files(), [])
})

t.test('recently used entries stay', async (t) => {
  const { cache, record } = openCache(t, 8 * MIB)
  await record('old', Buffer.alloc(3 * MIB))
  await record('unused', Buffer.alloc(3 * MIB))
  cache.find('old')
  await record('new', Buffer.alloc(3 * MIB))
  t.strictSame(
    ['old', 'unused', 'new'].map((key) => cache.find(key) !== undefined),
    [true, false, true],
  )
})

// Attack on the disk: one response that is longer than the quota, or many at once.
t.test('responses in progress count, and one that is longer than the quota is delivered but not kept', async (t) => {
  const { cache, record, size, lost, files } = openCache(t, 8 * MIB)
  await record('kept', Buffer.alloc(3 * MIB))
  const bytes = randomBytes(30 * MIB)
  const reader = client()
  let most = 0
  let reading: Promise<ServeOutcome> | undefined
  const begin = cache.begin.bind(cache)
  cache.begin = (key) => {
    const entry = begin(key)
    reading = reader.read(entry)
    return entry
  }
  await record('long', bytes, () => (most = Math.max(most, size())))
  t.match(await reading, ANSWERED)
  t.ok(reader.bytes().equals(bytes))
  t.ok(most <= 8 * MIB, `${most} bytes at most`)
  t.equal(cache.find('long'), undefined)
  t.ok(cache.isEnabled, 'the cache stays enabled')
  t.strictSame(lost, [])
  t.ok(await within(500, () => files().length <= 1))
})

t.test('an entry that is evicted while it is read is removed after its last reader', async (t) => {
  const { cache, record, files, size } = openCache(t, 24 * MIB)
  const bytes = randomBytes(5 * MIB)
  const entry = await record('read', bytes)
  const slow = client(true)
  const reading = slow.read(entry)
  await record('idle', Buffer.alloc(12 * MIB))
  await record('next', Buffer.alloc(8 * MIB))
  t.strictSame([cache.find('read'), cache.find('idle')], [undefined, undefined])
  t.not(cache.find('next'), undefined)
  await until(() => size() <= 13 * MIB)
  t.equal(size(), 13 * MIB, 'an entry that is being read keeps its file')
  slow.letGo()
  t.match(await reading, ANSWERED)
  t.ok(slow.bytes().equals(bytes))
  t.ok(await within(500, () => files().length === 1))
})

// Bytes gathered for the next write once arrived after the file was removed, and created one that nobody owned.
t.test('a response that breaks off leaves no file', async (t) => {
  const { cache, lost, files } = openCache(t, 80 * MIB)
  const entries: CacheEntry[] = []
  for (let number = 0; number < 10; number += 1) {
    const entry = cache.begin('key')
    const input = entry.writable(() => undefined)
    for (let piece = 0; piece < 20 + number; piece += 1) await write(input, Buffer.alloc(131_072))
    await new Promise<void>((resolve) => input.end(() => resolve()))
    cache.drop('key', entry)
    await entry.finish({ kind: 'broken', reason: 'it broke off' })
    entries.push(entry)
  }
  for (const { spool } of entries) await spool.flush()
  t.ok(await within(500, () => files().length === 0))
  t.strictSame(lost, [])
})

t.test('a removed folder is created again when the cache is enabled again', async (t) => {
  const { cache, record, folder, lost, files } = openCache(t, 80 * MIB, 50)
  await record('before', Buffer.alloc(2 * MIB))
  rmSync(folder, { recursive: true })
  await record('lost', Buffer.alloc(2 * MIB))
  t.equal(lost.length, 1)
  t.notOk(cache.isEnabled)
  t.equal(cache.find('lost'), undefined)
  t.ok(await within(500, () => cache.isEnabled))
  await record('after', Buffer.alloc(2 * MIB))
  t.not(cache.find('after'), undefined)
  t.equal(files().length, 1)
})

t.test('a truncated file breaks the response, and isn’t served again', async (t) => {
  const { record, cache, files } = openCache(t, 80 * MIB)
  const entry = await record('cut', Buffer.alloc(4 * MIB, 1))
  truncateSync(files()[0]!, 2 * MIB)
  t.match(await client().read(entry), { kind: 'broken' })
  t.equal(cache.find('cut'), undefined)
})
