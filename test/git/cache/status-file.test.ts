// Attack: somebody puts a file in the place of `<data>/cache`, or its disk fails. The timer that writes the status file of the cache
// threw, and ended the gate with all its transfers.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../../acceptance/until.js'
import { CacheStatusFile, openCacheFolder, readReports } from '../../../src/git/cache/status-file.js'

const COUNTS = { hit: 1, coalesced: 0, miss: 0, bypass: 0, evicted: 0, writeFailures: 0, entries: 0, bytes: 0 }

t.test('a cache folder that can not be used is reported, and written again when it can', async (t) => {
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
  // The figures must differ, or they are not written.
  errors.push('a change')
  await until(() => errors.length > 1)
  rmSync(root)
  renameSync(`${root}-away`, root)
  await until(async () => (await readReports(root))[0]?.hit === errors.length)
})
