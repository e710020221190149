// Attack: somebody who can write to the database, and not through gitgate, gives themselves rights, takes limits away, or hides rows
// of the audit log from those who search it. `gitgate audit verify` says what, where, and what to do about it.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { auditEvent, THE_GATE, GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { newToken } from '../storage/new-token.js'
import { addAccount, NOON } from '../storage/temporary-store.js'

const secret = (text: string) => new Secret(text, 'secret')
const LEVELS = { push: 'write', force: 'nobody', delete: 'admin' } as const

/** What each attack changes, and what verification says of it. */
const ATTACKS: readonly (readonly [statement: string, said: RegExp])[] = [
  [
    "DELETE FROM audit_names WHERE name = 'bob'",
    /the table audit_names lacks an entry: block 0, name bob\. .*audit repair/,
  ],
  ['DELETE FROM audit_names', /the table audit_names lacks an entry/],
  ["INSERT INTO audit_names VALUES (0, 'eve')", /audit_names has an entry that no event explains: block 0, name eve/],
  ["INSERT INTO audit_names VALUES (7, 'eve')", /has an entry that no event explains: block 7, name eve/],
  ["DELETE FROM token_uses WHERE repository = 'team/a'", /token_uses lacks an entry: token 1, repository team\/a\. /],
  ["DELETE FROM token_uses WHERE repository = 'team/derived'", /lacks an entry: token 1, repository team\/derived/],
  ['UPDATE token_uses SET fetched_at = fetched_at - 1', /token_uses lacks an entry: token 1/],
  ['UPDATE token_uses SET pushed_at = 1', /no event explains: token 1, repository team\//],
  ["INSERT INTO token_uses VALUES (1, 'team/b', 1, NULL)", /no event explains: token 1, repository team\/b/],
  [
    "INSERT INTO audit_carried VALUES ('setting:push_to_create', '\"true\"')",
    /the table audit_carried, which keeps the facts of pruned/,
  ],
  [
    "INSERT INTO settings VALUES ('disable_personal_access_tokens', 'true', 0)",
    /setting:disable_personal_access_tokens is "true" in the table settings, but no event says so\. .*gitgate settings set disable_personal_access_tokens VALUE/,
  ],
  [
    "UPDATE settings SET value = 'true' WHERE key = 'push_to_create'",
    /setting:push_to_create is "true" in the table settings, but event \d+ says that it is "false"\. Set the correct value/,
  ],
  ['DELETE FROM settings', /setting:push_to_create is missing from the table settings, but event \d+ .* "false"\./],
  [
    "INSERT INTO grants VALUES (99, 'bob', 'admin', '**', 0)",
    /grant:bob \*\* is "admin" in the table grants, but event \d+ .* removed\. .*access revoke/,
  ],
  [
    "INSERT INTO grants VALUES (99, 'eve', 'admin', '**', 0)",
    /grant:eve \*\* is "admin" in the table grants, but no event/,
  ],
  ["UPDATE grants SET role = 'admin'", /grant:alice team\/\*\* is "admin" in .* says that it is "read"/],
  ['DELETE FROM grants', /grant:alice team\/\*\* is missing from the table grants/],
  [
    "UPDATE protected_refs SET force = 'write'",
    /protection:\*\* refs\/heads\/main is \["write","write","admin"\] in the table/,
  ],
  [
    'DELETE FROM protected_refs',
    /protection:\*\* refs\/heads\/main is missing from the table protected_refs, .*protect add/,
  ],
  [
    "UPDATE accounts SET admin = 1 WHERE username = 'bob'",
    /user:bob admin is true in the table accounts, .*gitgate user edit/,
  ],
  ["UPDATE accounts SET state = 'active'", /user:carol state is "active" in the table accounts, .* "blocked"/],
  ["UPDATE accounts SET email = 'e@example.com' WHERE username = 'bob'", /user:bob email is "e@example.com"/],
  [
    "UPDATE accounts SET email_key = 'e@example.com' WHERE username = 'bob'",
    /user:bob email_key is "e@example.com" in the table accounts, but must be null, the mail address in lower case\. .*--email/,
  ],
  // It would begin the grace period for two-factor authentication again.
  ['UPDATE accounts SET created_at = 9e12', /user:alice created_at is 2255-.* that it is 2026-06-15T12:00:00.000Z/],
  [
    'UPDATE settings SET set_at = set_at + 86400000',
    /setting:push_to_create set_at is 2026-06-16T.* settings set push_to/,
  ],
  ['UPDATE settings SET set_at = NULL', /setting:push_to_create set_at is null in the table settings/],
  // It would never expire.
  ['UPDATE sessions SET created_at = 9e15', /session:1 created_at is 9000000000000000 in .*gitgate user passwd/],
  ["UPDATE accounts SET notices_off = 'x' WHERE username = 'bob'", /user:bob notices_off is "unreadable"/],
  ["DELETE FROM accounts WHERE username = 'carol'", /user:carol \w+ is missing from the table accounts/],
  [
    "INSERT INTO accounts (username, name, admin, created_at) VALUES ('eve', 'eve', 1, 0)",
    /user:eve state is "active" in the table accounts, but no event says so\. .*gitgate user delete eve/,
  ],
  [
    'DELETE FROM two_factors',
    /user:alice two_factor is false in the table two_factors, .*gitgate user 2fa enable alice/,
  ],
  ["UPDATE webhooks SET url = 'https://evil.example.com'", /webhook:1 is \["https:\/\/evil/],
  ['DELETE FROM webhooks', /webhook:1 is missing from the table webhooks, .*gitgate webhook remove/],
  [
    'UPDATE personal_access_tokens SET scopes = \'["api"]\' WHERE id = 1',
    /token:1 is .*scopes":\["api"\].* in the table personal_access_tokens, .*gitgate token revoke 1/,
  ],
  ['UPDATE personal_access_tokens SET expires_at = NULL WHERE id = 1', /token:1 is .*"expires_at":null/],
  ['UPDATE personal_access_tokens SET created_at = 9e12 WHERE id = 1', /token:1 created_at is 2255-/],
  ["UPDATE personal_access_tokens SET issued_by = 'bob' WHERE id = 1", /token:1 origin is \["bob",null\] in /],
  ['UPDATE personal_access_tokens SET user_id = 2 WHERE id = 1', /token:1 is .*"owner":"user:bob"/],
  [
    'UPDATE personal_access_tokens SET revoked_at = NULL WHERE id = 3',
    /token:3 end is never in .* says that it is 2026-/,
  ],
  ['UPDATE personal_access_tokens SET revoked_at = 9e12 WHERE id = 3', /token:3 end is 2255-/],
  [
    'UPDATE personal_access_tokens SET revoked_at = NULL WHERE id = 5',
    /token:5 end is never in .* says that it is 2026-/,
  ],
  [
    "INSERT INTO personal_access_tokens (user_id, name, scopes, token_digest, created_at) VALUES (1, 'x', '[\"api\"]', 'd', 0)",
    /token:\d is \{.* in the table personal_access_tokens, but no event says so\. Revoke it/,
  ],
  [
    "INSERT INTO sessions (account_id, digest, created_at, last_seen_at, ip, signed_in_by) VALUES (1, 'd', 0, 0, '', 'totp')",
    /session:2 is \["user:alice","totp"\] in the table sessions, but no event says so\. .*gitgate user passwd/,
  ],
  ['UPDATE sessions SET account_id = 1', /session:1 is \["user:alice","password"\] in the table sessions/],
]

/** A data folder with a row of each kind. */
async function fill(store: Store): Promise<void> {
  const { accounts, tokens, twoFactors, grants, protections, settings, webhooks, sessions, audit } = store
  const alice = await addAccount(store, 'alice')
  const bob = await addAccount(store, 'bob')
  const carol = await addAccount(store, 'carol')
  await accounts.setState(GATE_CONTEXT, carol.id, 'blocked')
  await twoFactors.enable(GATE_CONTEXT, alice.id, secret('seed'), [secret('code')], NOON)
  await settings.set(GATE_CONTEXT, new Map([['push_to_create', 'false']]), NOON)
  await grants.put(GATE_CONTEXT, { subject: 'alice', role: 'read', pattern: 'team/**' }, NOON)
  await grants.put(GATE_CONTEXT, { subject: 'bob', role: 'admin', pattern: '**' }, NOON)
  await grants.remove(GATE_CONTEXT, 'bob', '**')
  await protections.put(GATE_CONTEXT, { repositories: '**', refs: 'refs/heads/main', ...LEVELS }, NOON)
  await webhooks.add(GATE_CONTEXT, bob.id, 'https://example.com/hook', secret('hook'), NOON)
  const add = (digest: string, given: object = {}) =>
    tokens.add(GATE_CONTEXT, {
      ...newToken(alice.id, { digest: secret(digest) }),
      expiresAt: new Date(NOON.getTime() + 90 * DAY),
      ...given,
    })
  await add('one')
  await add('two', { parentId: 1 })
  await add('three')
  await tokens.revoke(GATE_CONTEXT, 3, NOON)
  await add('four')
  await add('five', { parentId: 4 })
  await tokens.revoke(GATE_CONTEXT, 4, NOON)
  const signIn = { account: (await accounts.find(bob.id))!, digest: secret('cookie'), ip: '192.0.2.1', userAgent: null }
  await sessions.start(
    GATE_CONTEXT,
    { ...signIn, signedInBy: 'password', completes: null },
    { begun: 0, seen: 0, half: 0 },
  )
  const used = (tokenId: number, repository: string) => ({
    ...auditEvent({ ...THE_GATE, tokenId, username: 'alice' }, NOON, { action: 'git.fetch', repository }),
  })
  await audit.record([used(1, 'team/a'), used(2, 'team/derived')])
}

async function filled(t: Test): Promise<string> {
  const folder = temporaryFolder(t)
  const store = openStore(join(folder, 'data'), undefined, { clock: () => NOON })
  await fill(store)
  await store.close()
  return folder
}

function edit(folder: string, statements: string): void {
  const shell = new SQLite(join(folder, 'data', 'gitgate.sqlite3'))
  shell.exec(statements)
  shell.close()
}

const cliIn = (folder: string) => new GitgateCli(folder, {}, { clock: () => NOON })

t.test('each change to a table that the log tells about is reported', async (t) => {
  const folder = await filled(t)
  const untouched = await cliIn(folder).run(['audit', 'verify'])
  t.match(untouched.stdout, /^\d+ events? (is|are) intact/, untouched.stderr)
  for (const [index, [statement, said]] of ATTACKS.entries()) {
    const copy = join(folder, String(index))
    cpSync(join(folder, 'data'), join(copy, 'data'), { recursive: true })
    edit(copy, statement)
    const { status, stderr } = await cliIn(copy).run(['audit', 'verify'])
    t.equal(status, 1, statement)
    t.match(stderr, said, statement)
    t.match(stderr, /^gitgate: the database does not match the audit log: /)
  }
})

t.test('what verification says to do puts it right, and the log tells who did it', async (t) => {
  const folder = await filled(t)
  const cli = cliIn(folder)
  edit(
    folder,
    `INSERT INTO settings VALUES ('disable_personal_access_tokens', 'true', 0);
     INSERT INTO grants VALUES (99, 'eve', 'admin', '**', 0);
     DELETE FROM protected_refs;
     UPDATE personal_access_tokens SET scopes = '["api"]' WHERE id = 1;
     UPDATE accounts SET admin = 1 WHERE username = 'bob';
     INSERT INTO accounts (username, name, admin, created_at) VALUES ('mallory', 'mallory', 1, 0);
     INSERT INTO sessions (account_id, digest, created_at, last_seen_at, ip, signed_in_by)
       VALUES (2, 'd', ${NOON.getTime()}, ${NOON.getTime()}, '', 'totp');
     DELETE FROM audit_names`,
  )
  const steps: readonly (readonly [said: RegExp, remedy: string, input?: string])[] = [
    [/the table audit_names/, 'audit repair'],
    // It stays as it is, and has an event now.
    [/setting:disable_personal_access_tokens/, 'settings set disable_personal_access_tokens true'],
    [/grant:eve \*\*/, 'access revoke eve **'],
    [/user:bob admin/, 'user edit bob --no-admin'],
    [/user:mallory state/, 'user delete mallory --yes'],
    [/token:1 is/, 'token revoke 1'],
    [/protection:\*\*/, 'protect add ** main --push write --force nobody --delete admin'],
  ]
  for (const [said, remedy] of steps) {
    t.match((await cli.run(['audit', 'verify'])).stderr, said)
    await cli.ask(remedy.split(' '))
  }
  // The session ended with the administration of its account.
  t.match(await cli.ask(['audit', 'verify']), /^\d+ events? (is|are) intact/)
  t.match(await cli.json('audit', 'list', '--action', 'setting.changed', '--limit', '1'), [
    { operator: /./, details: { from: 'true', to: 'true' } },
  ])
  t.match(await cli.json('audit', 'list', '--action', 'audit'), [{ action: 'audit.repaired', operator: /./ }])
  t.match(await cli.json('audit', 'list', '--user', 'bob', '--limit', '1'), [{ target: 'user:bob' }])
})

t.test('programs read which row of which table it is', async (t) => {
  const folder = await filled(t)
  edit(folder, "UPDATE settings SET value = 'true'")
  const { status, stdout } = await cliIn(folder).run(['audit', 'verify', '--json'])
  t.equal(status, 1)
  const flaw = { kind: 'not-as-recorded', table: 'settings', key: 'setting:push_to_create', recorded: '"false"', id: 6 }
  t.match(JSON.parse(stdout), { ok: false, flaw: { ...flaw, found: '"true"' } })
})

// Retention deletes the events that put rows into the tables. What they said is kept, and nothing that was put there by hand is.
t.test('pruning neither makes a false alarm nor makes an edited row right', async (t) => {
  const folder = await filled(t)
  const prune = async (days: number) => {
    const now = new Date(NOON.getTime() + days * DAY)
    const store = openStore(join(folder, 'data'), undefined, { clock: () => now })
    const pruned = await store.audit.prune(GATE_CONTEXT, new Date(NOON.getTime() + (days - 1) * DAY), NOON, 'force')
    // Something to prune the next time.
    await addAccount(store, `day-${days}`, {}, GATE_CONTEXT, now)
    await store.close()
    t.ok(pruned.deleted > 0)
  }
  const verify = async (said: RegExp | undefined) => {
    const { stdout, stderr } = await cliIn(folder).run(['audit', 'verify'])
    if (said === undefined) t.match(stdout, /^\d+ events? (is|are) intact/, stderr)
    else t.match(stderr, said)
  }
  await prune(2)
  await verify(undefined)
  edit(folder, "INSERT INTO settings VALUES ('impersonation_enabled', 'false', 0)")
  await verify(/setting:impersonation_enabled .* no event says so/)
  await prune(4)
  await verify(/setting:impersonation_enabled .* no event says so/)
  edit(folder, "DELETE FROM settings WHERE key = 'impersonation_enabled'; UPDATE settings SET value = 'true'")
  await verify(/setting:push_to_create is "true" .* a pruned event says that it is "false"/)
  edit(folder, "UPDATE settings SET value = 'false'")
  await verify(undefined)
  // What pruned rows said is edited, too, and then pruned over.
  edit(folder, "UPDATE audit_carried SET value = '\"true\"' WHERE key = 'setting:push_to_create'")
  await verify(/the table audit_carried, .* does not match event \d+/)
  await prune(6)
  await verify(/the table audit_carried, .* does not match event \d+/)
  await cliIn(folder).ask(['audit', 'repair'])
  await verify(undefined)
  await prune(8)
  await verify(undefined)
  edit(folder, 'DELETE FROM grants')
  await verify(/grant:alice team\/\*\* is missing/)
})

// Version 0.1.0 kept nothing of what it pruned: what the log does not tell of is let pass, until the next pruning takes it over.
t.test('a log that an earlier version pruned is verified as far as it tells', async (t) => {
  const folder = temporaryFolder(t)
  const recorded = join(import.meta.dirname, '..', '..', '..', 'test', 'data-folders', '0.1.0', 'files')
  cpSync(recorded, join(folder, 'data'), { recursive: true })
  const verify = async (said: RegExp | undefined) => {
    const { status, stderr } = await cliIn(folder).run(['audit', 'verify'])
    t.equal(status, said === undefined ? 0 : 1, stderr)
    t.match(stderr, said ?? /^$/)
  }
  await verify(undefined)
  edit(folder, "INSERT INTO grants VALUES (99, 'bob', 'admin', 'other/**', 0)")
  await verify(/grant:bob other\/\*\* is "admin" in the table grants, but event 137 says that it was removed/)
  edit(folder, 'DELETE FROM grants WHERE id = 99')
  const store = openStore(join(folder, 'data'), undefined, { clock: () => NOON })
  t.ok((await store.audit.prune(GATE_CONTEXT, new Date('2026-03-02T10:00:00Z'), NOON, 'force')).deleted > 0)
  await store.close()
  await verify(undefined)
  edit(folder, "UPDATE accounts SET admin = 1 WHERE username = 'alice'")
  await verify(/user:alice admin is true in the table accounts, but a pruned event says that it is false/)
})

// Attack: the file beside the database that notes a row of the log is removed, so that later rows can be, too.
t.test('a lost audit mark is reported until somebody answers for it', async (t) => {
  const folder = await filled(t)
  const path = join(folder, 'data', 'audit-mark')
  const cli = cliIn(folder)
  const noted = readFileSync(path)
  for (const lose of [
    () => rmSync(path),
    () => writeFileSync(path, ''),
    () => writeFileSync(path, `1 ${'0'.repeat(64)} x\n`),
  ]) {
    lose()
    t.match(
      (await cli.run(['audit', 'verify'])).stderr,
      /^gitgate: the audit checkpoint is missing: \S+audit-mark is missing or not signed .*audit repair/,
    )
    await cli.ask(['user', 'edit', 'bob', '--name', 'Bob', '--json'])
    t.match(JSON.parse((await cli.run(['audit', 'verify', '--json'])).stdout), { flaw: { kind: 'checkpoint-missing' } })
    writeFileSync(path, noted)
    t.equal((await cli.run(['audit', 'verify'])).status, 0)
  }
  rmSync(path)
  await cli.ask(['audit', 'repair'])
  t.match(await cli.json('audit', 'verify'), { ok: true })
  t.match(await cli.json('audit', 'list', '--limit', '1'), [{ action: 'audit.repaired', details: { mark: null } }])
})

t.test('a log that grows and is pruned while it is verified is no flaw', async (t) => {
  const store = openStore(join(temporaryFolder(t), 'data'), undefined, { clock: () => NOON })
  await fill(store)
  const day = (days: number) => new Date(NOON.getTime() + days * DAY)
  const reads = (days: number) =>
    Array.from({ length: 5_000 }, () =>
      auditEvent({ ...THE_GATE, username: `u${days}`, tokenId: 1 }, day(days), {
        action: 'git.fetch',
        repository: 'a',
      }),
    )
  await store.audit.record(reads(1))
  await store.audit.record(reads(3))
  let begun = 0
  const changes: Promise<unknown>[] = []
  const { flaw } = await store.audit.verify(undefined, (rows) => {
    if (rows < 3_000 || begun > 2) return
    begun += 1
    changes.push(
      store.settings.set(GATE_CONTEXT, new Map([['push_to_create', begun % 2 === 0 ? 'true' : 'false']]), NOON),
      store.grants.put(GATE_CONTEXT, { subject: 'bob', role: 'read', pattern: `p${begun}` }, NOON),
      store.audit.prune(GATE_CONTEXT, day(begun), NOON, 'force'),
      store.audit.record([auditEvent(THE_GATE, day(4), { action: 'git.refs' })]),
    )
  })
  t.equal(begun, 3)
  t.equal(flaw, undefined)
  await Promise.all(changes)
  t.equal((await store.audit.verify()).flaw, undefined)
  await store.close()
})

t.test('a change that is made while the tables are compared is no flaw', async (t) => {
  const store = openStore(join(temporaryFolder(t), 'data'), undefined, { clock: () => NOON })
  await fill(store)
  const changes: Promise<unknown>[] = []
  let last = -1
  const { flaw } = await store.audit.verify(undefined, (rows) => {
    // The end was reached: what comes next is compared.
    if (rows === last)
      changes.push(
        store.grants.put(GATE_CONTEXT, { subject: 'bob', role: 'read', pattern: `p${changes.length}` }, NOON),
      )
    last = rows
  })
  t.equal(flaw, undefined)
  t.ok(changes.length > 1)
  await Promise.all(changes)
  await store.close()
})
