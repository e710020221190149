// Attack: somebody who can write to the place of the backups, but not to the gate's machine, changes one, so that the gate gives
// them rights once it is restored. Accident: a backup is cut off, of a newer version, or copied over the database of a gate that
// crashed, whose write-ahead log SQLite would then copy into it without a word.
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { crash } from '../acceptance/crash.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

async function backedUp(t: Test) {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  for (const name of ['alice', 'mallory']) await cli.ask(['user', 'add', name])
  const backup = join(folder, 'backup.sqlite3')
  await cli.ask(['backup', backup])
  return { cli, folder, backup, data: join(folder, 'data'), database: join(folder, 'data', 'gitgate.sqlite3') }
}

/** Restores something that must be refused, with the database as it was. */
async function refused(t: Test, cli: GitgateCli, backup: string, message: RegExp) {
  const database = join(cli.folder, 'data', 'gitgate.sqlite3')
  const before = readFileSync(database)
  const { status, stdout, stderr } = await cli.run(['restore', backup])
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, message)
  t.equal(stderr.trim().split('\n').length, 1)
  t.ok(readFileSync(database).equals(before), 'nothing was changed')
}

function edit(file: string, sql: string): void {
  const database = new SQLite(file)
  database.exec(sql)
  database.close()
}

t.test('a backup that was edited is refused', async (t) => {
  const edits: Readonly<Record<string, RegExp>> = {
    "UPDATE accounts SET admin = 1 WHERE username = 'mallory'":
      /can't be trusted: the database does not match .*mallory/,
    "UPDATE audit_events SET operator = 'eve' WHERE id = 1": /can't be trusted: the audit log was altered: event 1 /,
    'DELETE FROM audit_events WHERE id = 2': /can't be trusted: the audit log was altered: event 2 was removed/,
    "DELETE FROM instance_facts WHERE key = 'audit_head'": /can't be trusted: the audit log was altered/,
    "INSERT INTO settings VALUES ('push_to_create', 'false', 0)": /can't be trusted: .*push_to_create/,
    "UPDATE instance_facts SET value = 'x' WHERE key = 'key_check'": /is not the key of this database/,
  }
  for (const [sql, message] of Object.entries(edits)) {
    await t.test(sql, async (t) => {
      const { cli, backup } = await backedUp(t)
      edit(backup, sql)
      await refused(t, cli, backup, message)
    })
  }
})

t.test('an index of the log that was edited is made anew', async (t) => {
  const { cli, backup } = await backedUp(t)
  edit(backup, 'DELETE FROM audit_names')
  await cli.ask(['restore', backup])
  t.match(await cli.json('audit', 'verify'), { ok: true })
  t.match(await cli.json('audit', 'list', '--action', 'audit.repaired'), [{}])
})

t.test('a backup that is cut off, of a newer version, or none at all, is refused', async (t) => {
  const { cli, folder, backup } = await backedUp(t)
  const { size } = statSync(backup)
  const copy = join(folder, 'copy')
  for (const length of [0, 50, 100, 4_096, Math.floor(size / 2), size - 4_096, size - 1]) {
    copyFileSync(backup, copy)
    truncateSync(copy, length)
    await refused(t, cli, copy, /copy is damaged or not a backup: /)
  }
  writeFileSync(copy, 'my diary\n'.repeat(1_000))
  await refused(t, cli, copy, /copy is damaged or not a backup: file is not a database/)
  rmSync(copy)
  edit(copy, 'CREATE TABLE diary (entry text)')
  await refused(t, cli, copy, /copy is damaged or not a backup: it has no tables of gitgate/)
  copyFileSync(backup, copy)
  edit(copy, 'PRAGMA user_version = 999')
  await refused(t, cli, copy, /has schema 999, but this gitgate knows only schemas up to \d+; install the newer/)
  await refused(t, cli, join(folder, 'nothing'), /there is no file .*\/nothing/)
  await refused(t, cli, folder, /is not a file/)
})

t.test('a backup that was copied over the database of a gate that crashed is refused at the start', async (t) => {
  const { cli, backup, data, database } = await backedUp(t)
  crash(data, 1)
  const log = readFileSync(`${database}-wal`)
  copyFileSync(backup, database)
  for (const args of [
    ['serve', '--port', '0'],
    ['serve', '--port', '0', '--workers', '2'],
    ['user', 'list'],
  ]) {
    const { status, stderr } = await cli.runProcess(args)
    t.equal(status, 1, args.join(' '))
    t.match(
      stderr,
      /^gitgate: \S+-wal does not belong to \S+ \(the database is a backup\); nothing was changed\. .*gitgate restore FILE/,
    )
  }
  t.ok(readFileSync(database).equals(readFileSync(backup)), 'the backup is as it was')
  t.ok(readFileSync(`${database}-wal`).equals(log))
  const { stdout } = await cli.run(['doctor'])
  t.match(stdout, /PROBLEM.*does not belong to/)
  await cli.ask(['restore', backup])
  t.equal(((await cli.json('user', 'list')) as object[]).length, 2)
  t.match(await cli.json('audit', 'verify'), { ok: true })
})

t.test('so is any other copy, before it is spoilt', async (t) => {
  const { cli, backup, data, database } = await backedUp(t)
  const copy = `${backup}.copy`
  copyFileSync(database, copy)
  // SQLite copies its log into the database at 1,000 pages; after that the log alone is not all that was written since.
  crash(data, 250)
  t.ok(statSync(database).size > statSync(copy).size)
  copyFileSync(copy, database)
  const { status, stderr } = await cli.run(['user', 'list'])
  t.equal(status, 1)
  t.match(stderr, /-wal does not belong to .* nothing was changed\./)
  t.ok(readFileSync(database).equals(readFileSync(copy)), 'the copy is as it was')
  await cli.ask(['restore', copy])
  t.match(await cli.json('audit', 'verify'), { ok: true })
})

t.test('a gate that crashed starts again', async (t) => {
  const { cli, data } = await backedUp(t)
  crash(data, 1)
  t.equal(((await cli.json('user', 'list')) as object[]).length, 3)
})
