// Attack: somebody who can write to the database file changes no row, but what the database does with rows: a trigger undoes each
// revocation, an index shows a grant of somebody else, a view stands in for a table,
// a BLOB for the same text, which it never equals. `gitgate audit verify` names it, and
// `gitgate restore` refuses it.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

const OTHER_INDEX = `
  CREATE UNIQUE INDEX other ON grants (CASE subject WHEN 'alice' THEN 'bob' ELSE subject END, pattern);
  PRAGMA writable_schema = ON;
  UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'other')
    WHERE name = 'sqlite_autoindex_grants_1';
  DELETE FROM sqlite_master WHERE name = 'other'`

/** What each attack changes, and what verification says of it. */
const ATTACKS: readonly (readonly [statements: string, said: RegExp])[] = [
  [
    `CREATE TRIGGER undo AFTER UPDATE OF revoked_at ON personal_access_tokens
       BEGIN UPDATE personal_access_tokens SET revoked_at = NULL; END`,
    /schema was altered: the trigger undo is not gitgate's\. .*DROP TRIGGER "undo"/,
  ],
  ['CREATE VIEW everybody AS SELECT * FROM accounts', /the view everybody is not gitgate's\. .*DROP VIEW "everybody"/],
  ['CREATE TABLE notes (note text)', /the table notes is not gitgate's/],
  ['CREATE INDEX extra ON grants (pattern)', /the index extra is not gitgate's/],
  ['DROP INDEX accounts_username', /the index accounts_username is missing\. Restore a backup/],
  ['DROP TRIGGER audit_names_target', /the trigger audit_names_target is missing/],
  ['DROP TABLE recovery_codes', /the (table|index) recovery_codes\w* is missing/],
  ['ALTER TABLE grants ADD COLUMN note text', /the table grants is not as gitgate created it/],
  [
    'DROP INDEX accounts_username; CREATE UNIQUE INDEX accounts_username ON accounts (username)',
    /the index accounts_username is not as gitgate created it/,
  ],
  [
    // The columns change places.
    `PRAGMA writable_schema = ON;
     UPDATE sqlite_master SET sql = replace(replace(replace(sql, 'name', '#'), 'username', 'name'), '#', 'username')
       WHERE name = 'accounts'`,
    /the table accounts is not as gitgate created it/,
  ],
  [OTHER_INDEX, /the database is damaged: SQLite reports: .*sqlite_autoindex_grants_1.* rebuild them .*REINDEX/],
  [
    "PRAGMA ignore_check_constraints = ON; UPDATE grants SET role = 'owner'",
    /SQLite reports: CHECK constraint failed in grants/,
  ],
  [
    // It would be one of the next account that is created.
    "PRAGMA foreign_keys = OFF; INSERT INTO recovery_codes (account_id, hash) VALUES (9, '')",
    /SQLite reports: row 1 of recovery_codes refers to a missing row of accounts/,
  ],
  [
    'UPDATE settings SET key = CAST(key AS BLOB)',
    /the database was edited: the column key of the table settings has a value of the type blob instead of text/,
  ],
  [
    'UPDATE protected_refs SET repository_pattern = CAST(repository_pattern AS BLOB)',
    /the column repository_pattern of the table protected_refs has a value of the type blob instead of text/,
  ],
  ['UPDATE audit_events SET action = CAST(action AS BLOB) WHERE id = 2', /event 2 was edited/],
  ['UPDATE audit_events SET hash = CAST(hash AS BLOB) WHERE id = 2', /event 2 was edited/],
  [
    "UPDATE personal_access_tokens SET expires_at = 'never'",
    /the column expires_at of the table personal_access_tokens has a value of the type text instead of integer/,
  ],
]

async function filled(t: Test): Promise<GitgateCli> {
  const cli = new GitgateCli(temporaryFolder(t))
  for (const args of [
    'user add alice',
    'user add bob',
    'token create alice --name ci --scopes read_repository --expires-in 9d',
    'access grant alice admin secret/**',
    'settings set push_to_create false',
    'protect add ** main --push admin',
  ])
    await cli.ask(args.split(' '))
  return cli
}

function edit(file: string, statements: string): void {
  const database = new SQLite(file)
  database.unsafeMode(true)
  database.exec(statements)
  database.close()
}

t.test('a changed schema or index is reported, and its backup refused', async (t) => {
  const original = await filled(t)
  const backup = join(original.folder, 'backup.sqlite3')
  await original.ask(['backup', backup])
  for (const [statements, said] of ATTACKS) {
    const folder = temporaryFolder(t)
    cpSync(join(original.folder, 'data'), join(folder, 'data'), { recursive: true })
    const cli = new GitgateCli(folder)
    const copy = join(folder, 'copy.sqlite3')
    cpSync(backup, copy)
    edit(copy, statements)
    const restored = await cli.run(['restore', copy])
    t.equal(restored.status, 1, statements)
    t.match(restored.stderr, /copy\.sqlite3 (can't be trusted: |is damaged or not a backup: ).*[Nn]othing was changed/)
    if (restored.stderr.includes("can't be trusted")) t.match(restored.stderr, said)
    t.match(await cli.json('audit', 'verify'), { ok: true }, 'nothing was changed')

    edit(join(folder, 'data', 'gitgate.sqlite3'), statements)
    const { status, stderr } = await cli.run(['audit', 'verify'])
    t.equal(status, 1, statements)
    t.match(stderr, said)
    t.equal(stderr.trim().split('\n').length, 1)
  }
})

t.test('what verification says to do removes a trigger and rebuilds an index', async (t) => {
  const cli = await filled(t)
  const database = join(cli.folder, 'data', 'gitgate.sqlite3')
  edit(database, 'CREATE TRIGGER undo AFTER UPDATE ON grants BEGIN SELECT 1; END')
  edit(database, OTHER_INDEX)
  t.match((await cli.run(['audit', 'verify'])).stderr, /the trigger undo/)
  edit(database, 'DROP TRIGGER "undo"')
  t.match((await cli.run(['audit', 'verify'])).stderr, /the database is damaged/)
  edit(database, 'REINDEX')
  // The page of the index that was replaced stays unused.
  t.match((await cli.run(['audit', 'verify'])).stderr, /never used/)
  edit(database, 'VACUUM')
  t.match(await cli.json('audit', 'verify'), { ok: true })
})

t.test('what is found is bounded', async (t) => {
  const cli = await filled(t)
  const database = join(cli.folder, 'data', 'gitgate.sqlite3')
  edit(
    database,
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
       INSERT INTO grants (subject, role, pattern, created_at) SELECT 'user' || i, 'read', '**', 0 FROM n`,
  )
  edit(
    database,
    OTHER_INDEX.replace("WHEN 'alice' THEN 'bob' ELSE subject END", "WHEN '' THEN '' ELSE subject || '!' END"),
  )
  const { stderr } = await cli.run(['audit', 'verify'])
  t.match(stderr, /the database is damaged/)
  t.ok(stderr.length < 1_500)
})

t.test('statistics that ANALYZE makes are no flaw, and nothing else passes as such', async (t) => {
  const cli = await filled(t)
  const database = join(cli.folder, 'data', 'gitgate.sqlite3')
  edit(database, 'ANALYZE')
  t.match(await cli.json('audit', 'verify'), { ok: true })
  edit(
    database,
    `PRAGMA writable_schema = ON;
     UPDATE sqlite_master SET sql = 'CREATE TABLE sqlite_stat1(tbl,idx,stat,note)' WHERE name = 'sqlite_stat1'`,
  )
  t.match((await cli.run(['audit', 'verify'])).stderr, /the table sqlite_stat1 is not gitgate's/)
})

t.test('a database that an earlier version made has the same schema', async (t) => {
  const recorded = join(import.meta.dirname, '..', '..', '..', 'test', 'data-folders', '0.1.0', 'files')
  const folder = temporaryFolder(t)
  cpSync(recorded, join(folder, 'data'), { recursive: true })
  const cli = new GitgateCli(folder)
  const backup = join(folder, 'old.sqlite3')
  cpSync(join(recorded, 'gitgate.sqlite3'), backup)
  t.match(await cli.json('audit', 'verify'), { ok: true })
  // A backup is checked before it is migrated.
  edit(backup, 'CREATE TRIGGER stop BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, ""); END')
  t.match((await cli.run(['restore', backup])).stderr, /can't be trusted: .* the trigger stop is not gitgate's/)
  rmSync(backup)
})
