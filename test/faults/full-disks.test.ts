// Each disk that a gate writes to fills up while clients push, clone and create tokens. What the gate can't write it refuses, and it
// recovers by itself.
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { requireMount, smallDisk } from '../acceptance/small-disk.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { FaultWorld } from './fault-world.js'

const skip = requireMount()
const ATTEMPTS_WHILE_FULL = 15

for (const place of ['data', 'repositories', 'cache', 'audit export'] as const)
  t.test(`the disk of ${place} fills up`, { skip, timeout: 120_000 }, async (t) => {
    const disk = smallDisk(t, 64)
    const folder = temporaryFolder(t)
    const data = join(folder, 'data')
    const world = await FaultWorld.start(t, {
      ...(place === 'cache' ? { beforeStart: (data) => symlinkSync(disk.folder, join(data, 'cache')) } : {}),
      env: {
        GITGATE_DATA: place === 'data' ? join(disk.folder, 'data') : data,
        GITGATE_REPOS: place === 'repositories' ? join(disk.folder, 'repos') : join(folder, 'repos'),
        ...(place === 'audit export' ? { GITGATE_AUDIT_LOG: join(disk.folder, 'audit.jsonl') } : {}),
      },
    })
    const before = world.usage()
    const load = world.startLoad()
    await world.attempts(ATTEMPTS_WHILE_FULL)
    disk.fill()
    await world.attempts(ATTEMPTS_WHILE_FULL)
    disk.clear()
    await world.attempts(ATTEMPTS_WHILE_FULL)
    await load.stop()
    await world.check(t, `the disk of ${place} was full`)
    await world.checkUsage(t, before, `the disk of ${place} was full`)
  })
