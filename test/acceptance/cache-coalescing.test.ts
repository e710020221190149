// One run of Git and many readers: if one leaves, stalls or dies, the others get the complete response or see that it broke off.
import { once } from 'node:events'
import t from 'tap'
import type { Test } from 'tap'
import { beginClone, cacheFiles, heldGit, cachedWorld } from './cache-world.js'
import { beginFetch, commandOf, processesIn } from './transfers.js'
import { within } from './until.js'

/** A repository of 10 MiB whose packs stop half-way, and a function that starts clones of it. */
async function held(t: Test, mebibytes = 10) {
  const git = heldGit(t)
  const cached = await cachedWorld(t, { flags: { git: git.path }, mebibytes })
  git.hold()
  const begin = async (count: number) => {
    const clones = Array.from({ length: count }, () => beginClone(cached.world.git, cached.remote))
    const areUnderWay = await within(10_000, () => clones.every((clone) => clone.isReceiving()))
    t.ok(areUnderWay, 'the clones are in progress')
    return clones
  }
  return { git, begin, ...cached }
}

t.test('killing the clone that started the run doesn’t affect those that joined it', async (t) => {
  const { git, begin, clone } = await held(t)
  const [leader] = await begin(1)
  const followers = await begin(3)
  const runs = git.runs()
  await leader?.kill()
  git.release()
  for (const follower of followers) t.equal(await follower.ended, 0)
  t.equal(git.runs(), runs, 'one run was enough')
  await clone()
})

t.test('killing a clone that joined the run doesn’t affect the one that started it', async (t) => {
  const { git, begin } = await held(t)
  const [leader] = await begin(1)
  const [follower] = await begin(1)
  await follower?.kill()
  git.release()
  t.equal(await leader?.ended, 0)
})

t.test('when all have left, Git and its file are gone within a second', async (t) => {
  const { git, begin, clone, data, disk } = await held(t)
  for (let time = 1; time <= 3; time += 1) {
    const clones = await begin(2)
    t.not(processesIn(disk).length, 0)
    t.ok(await within(1_000, () => cacheFiles(data).length === 1))
    await Promise.all(clones.map(async (one) => await one.kill()))
    t.ok(await within(1_500, () => processesIn(disk).length === 0), 'git')
    t.ok(await within(1_000, () => cacheFiles(data).length === 0), cacheFiles(data).join(' '))
  }
  git.release()
  await clone()
  t.equal(cacheFiles(data).length, 1, 'the cache still works')
})

t.test('a slow reader delays nobody, and gets everything in the end', async (t) => {
  const { git, place, world, folder } = await held(t, 30)
  const oid = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  const readers = [await beginFetch(place, oid), await beginFetch(place, oid), await beginFetch(place, oid)]
  await once(readers[0]!.answer, 'readable')
  git.release()
  const all = async ({ answer }: { answer: AsyncIterable<unknown> }): Promise<Buffer> => {
    const pieces: Buffer[] = []
    for await (const piece of answer) pieces.push(piece as Buffer)
    return Buffer.concat(pieces)
  }
  // The first one, which started the run, reads nothing until the others are done.
  const others = await Promise.all(readers.slice(1).map(all))
  const whole = await all(readers[0]!)
  t.ok(whole.length > 30 * 1_048_576)
  for (const other of others) t.ok(other.equals(whole))
})

for (const [victim, of] of [
  [/pack-objects/, 'pack-objects'],
  [/upload-pack/, 'upload-pack'],
] as const) {
  t.test(
    `when ${of} is killed half-way, all clones fail, nothing is cached, and the next clone succeeds`,
    async (t) => {
      const { git, begin, clone, data, disk } = await held(t)
      const clones = await begin(3)
      const killed = processesIn(disk).filter((pid) => victim.test(commandOf(pid)))
      t.not(killed.length, 0)
      for (const pid of killed.slice(0, 1)) process.kill(pid, 'SIGKILL')
      git.release()
      for (const one of clones) t.not(await one.ended, 0)
      t.ok(await within(1_000, () => cacheFiles(data).length === 0), cacheFiles(data).join(' '))
      await clone()
    },
  )
}
