// Attack: somebody replaces `<data>/cache` by a file, or its disk fails. The timer that writes the cache's status file threw,
// and ended the gate with all its transfers.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../../acceptance/until.js'
import { CacheStatusFile, openCacheFolder, readReports } from '../../../src/git/cache/status-file.js'

const COUNTS = { hit: 1, coalesced: 0, miss: 0, bypass: 0, evicted: 0, writeFailures: 0, entries: 0, bytes: 0 }

t.test('an unusable cache folder is reported, and the status is written again when it is usable', async (t) => {
  const root = join(t.testdir(), 'cache')
  const { path: own, instance } = await openCacheFolder(root)
  mkdirSync(own)
  const errors: unknown[] = []
  const report = () => ({
    instance: instance.id,
    pid: process.pid,
    at: new Date().toISOString(),
    quota: 1,
    ...COUNTS,
    hit: errors.length,
  })
  const statusFile = new CacheStatusFile(
    root,
    report,
    () => undefined,
    (error) => errors.push(error),
  )
  t.teardown(() => statusFile.close())
  await until(async () => (await readReports(root)).length === 1)
  renameSync(root, `${root}-away`)
  writeFileSync(root, 'no folder')
  // Unchanged figures aren't written.
  errors.push('a change')
  await until(() => errors.length > 1)
  rmSync(root)
  renameSync(`${root}-away`, root)
  await until(async () => (await readReports(root))[0]?.hit === errors.length)
})
