import { cpSync, existsSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import { GitgateCli } from './gitgate-cli.js'
import { requireMount, smallDisk } from './small-disk.js'
import { temporaryFolder } from './temporary-folder.js'

// The data folder of the first version, which a later one migrates.
const OLD = join(import.meta.dirname, '..', '..', '..', 'test', 'data-folders', '0.1.0', 'files')

function versionOf(file: string): unknown {
  const database = new SQLite(file, { readonly: true })
  try {
    return database.pragma('user_version', { simple: true })
  } finally {
    database.close()
  }
}

/** A gitgate whose data folder is of an earlier version. */
function withOldData(folder: string) {
  const data = join(folder, 'data')
  cpSync(OLD, data, { recursive: true })
  const database = join(data, 'gitgate.sqlite3')
  const copy = `${database}.schema-${String(versionOf(database))}`
  return { cli: new GitgateCli(folder), data, database, copy }
}

t.test('the database is kept before it is migrated, once, and can be restored', async (t) => {
  const { cli, data, database, copy } = withOldData(temporaryFolder(t))
  const before = versionOf(database)
  await cli.ask(['user', 'list'])
  t.ok(Number(versionOf(database)) > Number(before))
  t.equal(versionOf(copy), before)
  t.equal(statSync(copy).mode & 0o777, 0o600)
  const diagnoses = JSON.parse((await cli.run(['doctor', '--json'])).stdout) as { check: string }[]
  t.match(
    diagnoses.filter(({ check }) => check === 'kept'),
    [{ status: 'ok', message: /^gitgate\.sqlite3\.schema-\d+ \(\d+ MiB, \d{4}-\d{2}-\d{2}\)$/ }],
  )
  const made = statSync(copy).mtimeMs
  await cli.ask(['user', 'list'])
  t.equal(statSync(copy).mtimeMs, made)

  await cli.ask(['user', 'add', 'zoe'])
  await cli.ask(['restore', copy])
  t.notMatch(await cli.ask(['user', 'list']), 'zoe')
  t.equal(readdirSync(data).filter((name) => name.includes('.draft')).length, 0)
})

t.test('the copies of the last three migrations are kept', async (t) => {
  const { cli, database, copy } = withOldData(temporaryFolder(t))
  const older = [1, 2, 3].map((version) => `${database}.schema-${version}`).filter((file) => file !== copy)
  for (const file of older) writeFileSync(file, '')
  await cli.ask(['user', 'list'])
  const kept = readdirSync(join(database, '..')).filter((name) => name.includes('.schema-'))
  t.equal(kept.length, 3)
  t.notOk(existsSync(`${database}.schema-1`))
  t.ok(existsSync(copy))
})

t.test('a database without space for its copy is not migrated', { skip: requireMount() }, async (t) => {
  const disk = smallDisk(t, 24)
  const { cli, database, copy } = withOldData(disk.folder)
  rmSync(join(disk.folder, 'data', 'cache'), { recursive: true, force: true })
  const before = versionOf(database)
  disk.fill()
  const { status, stderr } = await cli.run(['user', 'list'])
  t.equal(status, 1)
  t.match(stderr, /^gitgate: disk full: /)
  // Some space, but not enough for a copy.
  const ballast = join(disk.folder, 'ballast')
  truncateSync(ballast, statSync(ballast).size - 700_000)
  const refused = await cli.run(['user', 'list'])
  t.match(refused.stderr, /it keeps a copy, which needs \d+ MiB in .*; free that much and start again/)
  t.equal(versionOf(database), before)
  t.notOk(existsSync(copy))
  disk.clear()
  await cli.ask(['user', 'list'])
  t.ok(existsSync(copy))
})
