import SQLite from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { openStore } from '../../src/storage/open.js'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { within } from '../acceptance/until.js'
import { expectMistakes } from './mistakes.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

// The contract of the command line (docs/cli.md), by running it as a process: the audit log.

t.test('what commands change is in the audit log, with the user who ran them', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t), { SUDO_USER: 'carol' })
  t.match((await cli.run(['audit', 'list'])).stderr, /^No events match\./)
  t.equal(await cli.ask(['audit', 'verify']), 'The audit log is empty.')
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'read_repository'])
  await cli.ask(['settings', 'set', 'push_to_create', 'off'])
  await cli.ask(['repo', 'create', 'team/app'])
  const lines = (await cli.ask(['audit', 'list', '--wide'])).split('\n')
  t.match(lines[0], /^ID +TIME +ACTOR +ACTION +TARGET +DECISION +RULE +ADDRESS$/)
  const who = String.raw`\S+ \(carol\) \(shell\)`
  t.match(lines[1], new RegExp(`^1 +\\S+Z +${who} +user\\.added +user:alice +allowed +- +-$`))
  t.match(lines[2], /token\.created +token:1 /)
  t.match(lines[3], /setting\.changed +setting:push_to_create /)
  t.match(lines[4], /repository\.created +team\/app /)
  t.match(await cli.json('audit', 'list', '--action', 'setting'), [
    { id: 3, action: 'setting.changed', via: 'cli', operator: /\(carol\)$/, details: { from: null, to: 'false' } },
  ])
  const one = async (...args: string[]) =>
    ((await cli.json('audit', 'list', ...args)) as { id: number }[]).map(({ id }) => id)
  t.strictSame(await one('--user', 'ALICE'), [1, 2])
  t.strictSame(await one('--token', '1'), [2])
  t.strictSame(await one('--repo', 'team/*'), [4])
  t.strictSame(await one('--limit', '2'), [3, 4])
  t.strictSame(await one('--since', '1h', '--decision', 'allowed', '--limit', '1'), [4])
  t.strictSame(await one('--until', '2020-01-01'), [])
  await expectMistakes(t, cli, [
    [['audit', 'list', '--action', 'git.pull'], /there is no "git\.pull"; for the list: gitgate audit list --help/],
    [['audit', 'list', '--decision', 'maybe'], /--decision takes one of allowed, refused/],
    [['audit', 'list', '--since', 'yesterday'], /--since: "yesterday" is not a time; use 2026-01-31/],
    [['audit', 'list', '--limit', '0'], /--limit takes a number from 1/],
    [['audit', 'list', '--token', 'x'], /is not an ID/],
    [['audit', 'verify', '--head', '4'], /--head takes a checkpoint as printed by gitgate audit head/],
  ])
})

t.test('a revoked transfer is shown as revoked; JSON has the stored word', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const store = openStore(join(cli.folder, 'data'), undefined)
  await store.audit.record([
    auditEvent({ ...THE_GATE, via: 'git' }, new Date(), {
      action: 'git.fetch',
      decision: 'cut',
      rule: 'token revoked',
    }),
  ])
  await store.close()
  for (const word of ['revoked', 'cut']) {
    t.match(await cli.ask(['audit', 'list', '--decision', word]), / git\.fetch +- +revoked +token revoked /, word)
    t.match(await cli.json('audit', 'list', '--decision', word), [{ action: 'git.fetch', decision: 'cut' }])
  }
})

// The disk is full, or the database is held by another: what can't be noted must not be done to repositories either.
t.test('a repository is made, renamed and deleted only where that can be noted', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['repo', 'create', 'team/app'])
  const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
  database.exec("CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no room'); END")
  for (const args of [
    ['repo', 'create', 'team/new'],
    ['repo', 'rename', 'team/app', 'team/other'],
    ['repo', 'delete', 'team/app', '--yes'],
  ])
    t.equal((await cli.run(args)).status, 1, args.join(' '))
  t.strictSame(await cli.json('repo', 'list'), [{ path: 'team/app' }])
  database.exec('DROP TRIGGER full')
  database.close()
  t.equal((await cli.run(['repo', 'create', 'team/app'])).status, 1)
  t.match(await cli.json('audit', 'list', '--limit', '2'), [
    { action: 'repository.created', decision: 'allowed' },
    { action: 'repository.created', decision: 'failed' },
  ])
})

t.test('a report knows tokens whose account is gone, and pushes whose end nobody saw', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const store = openStore(join(cli.folder, 'data'), undefined)
  const refs = [{ ref: 'refs/heads/main', old: '0'.repeat(40), new: '1'.repeat(40) }]
  const push = auditEvent(THE_GATE, new Date(), { action: 'git.push', repository: 'alice/app', refs })
  await store.audit.record([{ ...push, via: 'git', tokenId: 1, requestId: 'r-1' }])
  await store.close()
  await cli.ask(['user', 'delete', 'alice', '--yes'])
  t.match(await cli.json('token', 'report', '1'), {
    token: { id: 1, name: 'ci' },
    refs: [{ ref: 'refs/heads/main', certain: false, request_id: 'r-1' }],
  })
  t.match(await cli.ask(['token', 'report', '1']), /^Token 1 \(ci\) of alice since .* 111111111111 \(unconfirmed\)/s)
  t.match(await cli.json('audit', 'list', '--action', 'user.deleted'), [
    { details: { tokens: [{ id: 1, name: 'ci' }] } },
  ])
})

// Attack: somebody with a shell on the database wipes out their traces.
t.test('verify names the row, with and without a head that was kept elsewhere', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  for (const name of ['alice', 'bob', 'carol', 'dave']) await cli.ask(['user', 'add', name])
  const shell = (statement: string): void => {
    const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
    database.exec(statement)
    database.close()
  }
  const head = await cli.ask(['audit', 'head'])
  t.match(head, /^4:[0-9a-f]{64}$/)
  t.match(await cli.ask(['audit', 'verify', '--head', head]), /^4 events are intact: 1 to 4\. Checkpoint: 4:/)
  t.match(await cli.json('audit', 'verify'), { ok: true, rows: 4, flaw: null })
  shell("UPDATE audit_events SET target = 'user:eve' WHERE id = 3")
  const edited = await cli.run(['audit', 'verify'])
  t.equal(edited.status, 1)
  t.match(edited.stderr, /^gitgate: the audit log was altered: event 3 was edited/)
  const json = await cli.run(['audit', 'verify', '--json'])
  t.equal(json.status, 1)
  t.match(JSON.parse(json.stdout), { ok: false, rows: 2, flaw: { kind: 'changed', id: 3 } })
  shell("UPDATE audit_events SET target = 'user:carol' WHERE id = 3")
  t.equal((await cli.run(['audit', 'verify'])).status, 0)
  // Everything goes, the head with it, or an older head comes back: what is noted beside the database tells.
  const old = await cli.ask(['audit', 'head'])
  t.equal(old, head)
  for (const statement of ['DELETE FROM audit_events', "DELETE FROM instance_facts WHERE key LIKE 'audit%'"])
    shell(statement)
  t.match((await cli.run(['audit', 'verify'])).stderr, /events 1 to 4 were removed/)
  await cli.ask(['user', 'add', 'eve'])
  t.match((await cli.run(['audit', 'verify'])).stderr, /events 2 to 4 were removed/, 'also when it goes on')
})

// Attack: the last row goes, and the signed head from before it comes back.
t.test('an older head does not hide that rows are gone', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  for (const name of ['alice', 'bob']) await cli.ask(['user', 'add', name])
  const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
  const head = "SELECT value FROM instance_facts WHERE key = 'audit_head'"
  const old = database.prepare(head).pluck().get() as string
  await cli.ask(['user', 'add', 'evil', '--admin'])
  database.prepare('DELETE FROM audit_events WHERE id = 3').run()
  database.prepare("UPDATE instance_facts SET value = ? WHERE key = 'audit_head'").run(old)
  database.close()
  t.match((await cli.run(['audit', 'verify'])).stderr, /event 3 was removed/)
})

t.test('a key that is not the one of the database is refused, before anything is written under it', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const wrong = new GitgateCli(cli.folder, { GITGATE_KEY_FILE: join(cli.folder, 'other-key') })
  const refused = await wrong.run(['user', 'add', 'bob'])
  t.equal(refused.status, 1)
  t.match(refused.stderr, /other-key is (not the key of this database|missing)/)
  t.match(await cli.ask(['audit', 'verify']), /^1 event is intact/)
})

t.test('rows that end with the last of them are named, too', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  for (const name of ['alice', 'bob', 'carol', 'dave']) await cli.ask(['user', 'add', name])
  const head = await cli.ask(['audit', 'head'])
  const shell = (statement: string): void => {
    const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
    database.exec(statement)
    database.close()
  }
  shell('UPDATE audit_events SET bytes_in = 9e999 WHERE id = 2')
  t.match((await cli.run(['audit', 'verify'])).stderr, /event 2 was edited/)
  shell('UPDATE audit_events SET bytes_in = NULL WHERE id = 2')
  shell('DELETE FROM audit_events WHERE id = 4')
  t.match((await cli.run(['audit', 'verify'])).stderr, /event 4 was removed/)
  t.match((await cli.run(['audit', 'verify', '--head', head])).stderr, /event 4 was removed/)
})

t.test('--follow shows what happens from now on, until it is stopped', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
  const args = [program, 'audit', 'list', '--follow', '--json']
  const follower = spawn(process.execPath, args, { cwd: cli.folder, env: cli.env })
  let said = ''
  follower.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => follower.on('close', resolve))
  await within(20_000, () => said.includes('user:alice'))
  await cli.ask(['user', 'add', 'bob'])
  await within(20_000, () => said.includes('user:bob'))
  follower.kill('SIGTERM')
  t.equal(await ended, 0)
  const rows = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: number; target: string })
  t.match(rows, [
    { id: 1, target: 'user:alice' },
    { id: 2, target: 'user:bob' },
  ])
})

t.test('a report tells what a leaked token means, and inspect what could be better about it', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice', '--admin'])
  for (let number = 1; number <= 4; number += 1) await cli.ask(['repo', 'create', `alice/app-${number}`])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository,api'])
  const empty = await cli.run(['token', 'report', '1'])
  t.match(empty.stderr, /^No repositories used\.\nNo refs changed\.\nNo addresses\.\n/)
  const gate = await cli.serve(t)
  const git = new GitClient(cli.folder, 'alice')
  const folder = await git.init('work')
  const remote = (name: string): string => `${gate.url.replace('//', `//alice:${secret}@`)}/alice/${name}.git`
  await git.run(['push', '-q', remote('app-1'), 'main', 'main:topic'], { cwd: folder })
  await git.run(['ls-remote', remote('app-2')], { cwd: folder })
  await git.clone(remote('app-1'), 'copy')
  const made = await fetch(`${gate.url}/api/v4/users/1/personal_access_tokens`, {
    method: 'POST',
    headers: { 'PRIVATE-TOKEN': secret, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'another', scopes: ['read_repository'] }),
  })
  t.equal(made.status, 201)
  await gate.stop()
  const head = await git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  t.match(await cli.json('token', 'report', '1'), {
    token: { id: 1, name: 'ci' },
    repositories: [
      { repository: 'alice/app-1', fetches: 1, pushes: 1, refused: 0 },
      { repository: 'alice/app-2', fetches: 0, pushes: 0 },
    ],
    refs: [
      { repository: 'alice/app-1', ref: 'refs/heads/main', old: /^0+$/, new: head, ip: '127.0.0.1', certain: true },
      { ref: 'refs/heads/topic' },
    ],
    addresses: [{ ip: '127.0.0.1' }],
    changes: [{ action: 'token.created', target: 'token:2' }],
    refused: 0,
  })
  const text = await cli.ask(['token', 'report', '1', '--since', '1h'])
  t.match(text, /^Token 1 \(ci\) of alice since /)
  t.match(text, /\nalice\/app-1 +1 +1 +0 /)
  t.match(text, /\nChanged refs:\nTIME +REPOSITORY +REF /)
  t.match(text, /\nAPI changes:\n.*\n.*token\.created +token:2 /)
  const inspected = await cli.run(['token', 'inspect'], secret)
  t.match(inspected.stdout, /\nAdvice +never expires; set an expiry date/)
  await expectMistakes(t, cli, [
    [['token', 'report', '9'], /there is no token 9/],
    [['token', 'report', '1', '--since', 'x'], /--since: "x" is not a time/],
  ])
})
