import SQLite from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-process.js'
import { within } from '../acceptance/transfers.js'
import { expectMistakes } from './mistakes.js'

// The contract of the command line (docs/cli.md), by running it as a process: the audit trail.

t.test('what commands change is in the trail, with who ran them', async (t) => {
  const cli = new GitgateCli(t.testdir(), { SUDO_USER: 'carol' })
  t.match((await cli.run(['audit', 'list'])).stderr, /^No rows\./)
  t.equal(await cli.ask(['audit', 'verify']), 'The trail is empty.')
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'read_repository'])
  await cli.ask(['settings', 'set', 'push_to_create', 'off'])
  await cli.ask(['repo', 'create', 'team/app'])
  const lines = (await cli.ask(['audit', 'list'])).split('\n')
  t.match(lines[0], /^ID +TIME +WHO +ACTION +ON +DECISION +RULE +FROM$/)
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
  t.strictSame(await one('--user', 'ALICE'), [1])
  t.strictSame(await one('--token', '1'), [2])
  t.strictSame(await one('--repo', 'team/*'), [4])
  t.strictSame(await one('--limit', '2'), [3, 4])
  t.strictSame(await one('--since', '1h', '--decision', 'allowed', '--limit', '1'), [4])
  t.strictSame(await one('--until', '2020-01-01'), [])
  await expectMistakes(t, cli, [
    [['audit', 'list', '--action', 'git.pull'], /there is no "git\.pull"; gitgate audit list --help/],
    [['audit', 'list', '--decision', 'maybe'], /--decision takes one of allowed, refused/],
    [['audit', 'list', '--since', 'yesterday'], /--since: "yesterday" is no time; write 2026-01-31/],
    [['audit', 'list', '--limit', '0'], /--limit takes a number from 1/],
    [['audit', 'list', '--token', 'x'], /is not an ID/],
    [['audit', 'verify', '--head', '4'], /--head takes what gitgate audit head has printed/],
  ])
})

// Attack: somebody with a shell on the database wipes out their traces.
t.test('verify names the row, with and without a head that was kept elsewhere', async (t) => {
  const cli = new GitgateCli(t.testdir())
  for (const name of ['alice', 'bob', 'carol', 'dave']) await cli.ask(['user', 'add', name])
  const shell = (statement: string): void => {
    const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
    database.exec(statement)
    database.close()
  }
  const head = await cli.ask(['audit', 'head'])
  t.match(head, /^4:[0-9a-f]{64}$/)
  t.match(await cli.ask(['audit', 'verify', '--head', head]), /^4 rows are as they were written: 1 to 4\. Head: 4:/)
  t.match(await cli.json('audit', 'verify'), { ok: true, rows: 4, flaw: null })
  shell("UPDATE audit_events SET target = 'user:eve' WHERE id = 3")
  const edited = await cli.run(['audit', 'verify'])
  t.equal(edited.status, 1)
  t.match(edited.stderr, /^gitgate: the audit trail is not what was written: row 3 is not what was written there/)
  const json = await cli.run(['audit', 'verify', '--json'])
  t.equal(json.status, 1)
  t.match(JSON.parse(json.stdout), { ok: false, rows: 2, flaw: { kind: 'changed', id: 3 } })
  shell("UPDATE audit_events SET target = 'user:carol' WHERE id = 3")
  t.equal((await cli.run(['audit', 'verify'])).status, 0)
  shell('DELETE FROM audit_events WHERE id = 4')
  t.match((await cli.run(['audit', 'verify'])).stderr, /row 4 was removed/)
  t.match((await cli.run(['audit', 'verify', '--head', head])).stderr, /row 4 was removed/)
})

t.test('--follow shows what happens from now on, until it is stopped', async (t) => {
  const cli = new GitgateCli(t.testdir())
  await cli.ask(['user', 'add', 'alice'])
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
  const follower = spawn(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, program, 'audit', 'list', '--follow', '--json'],
    {
      cwd: cli.folder,
      env: cli.env,
    },
  )
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
  const cli = new GitgateCli(t.testdir())
  await cli.ask(['user', 'add', 'alice', '--admin'])
  for (let number = 1; number <= 4; number += 1) await cli.ask(['repo', 'create', `alice/app-${number}`])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository,api'])
  const empty = await cli.run(['token', 'report', '1'])
  t.match(empty.stderr, /^No repository was used\.\nIt moved no ref\.\nIt was used from nowhere\.\n/)
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
  t.match(text, /\nRefs that it moved:\nTIME +REPOSITORY +REF /)
  t.match(text, /\nWhat it changed over the API:\n.*\n.*token\.created +token:2 /)
  const inspected = await cli.run(['token', 'inspect'], secret)
  t.match(inspected.stdout, /\nAdvice +never expires: give it an end/)
  await expectMistakes(t, cli, [
    [['token', 'report', '9'], /there is no token 9/],
    [['token', 'report', '1', '--since', 'x'], /--since: "x" is no time/],
  ])
})
