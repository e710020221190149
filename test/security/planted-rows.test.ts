// Attack: somebody who can write to the database inserts rows where verification does not look: their IDs are below the first that
// gitgate assigns, or so far from it that JavaScript rounds them. A grant, an administrator, a token or an event stays unseen, and
// who searches the log by a name never gets an answer.
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { openStore } from '../../src/storage/open.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { newToken } from '../storage/new-token.js'
import { addAccount, NOON } from '../storage/temporary-store.js'

const MINIMUM = '-9223372036854775807'
const BELOW_SAFE = '-9007199254740992'
const ABOVE_SAFE = '4611686018427387905'

/** What each attack inserts, and what verification says of it. */
const ATTACKS: readonly (readonly [statement: string, said: RegExp])[] = [
  [`grants VALUES (${BELOW_SAFE}, 'alice', 'admin', '**', 0)`, /table grants has a row with the ID -9007199254740992/],
  [
    "grants VALUES (-5, 'alice', 'admin', '**', 0)",
    /table grants has a row with the ID -5, which gitgate never assigns/,
  ],
  [
    `grants VALUES (${ABOVE_SAFE}, 'alice', 'admin', '**', 0)`,
    /table grants has a row with the ID 4611686018427387905/,
  ],
  [
    `accounts (id, username, name, admin, created_at) VALUES (${MINIMUM}, 'eve', 'eve', 1, 0)`,
    /table accounts has a row with the ID -9223372036854775807/,
  ],
  [
    `personal_access_tokens (id, user_id, name, scopes, token_digest, created_at) VALUES (${BELOW_SAFE}, 1, 'x', '[]', 'd', 0)`,
    /table personal_access_tokens has a row with the ID -9007199254740992/,
  ],
  [
    `webhooks (id, url, sealed_secret, created_at) VALUES (${BELOW_SAFE}, 'https://evil.example.com', 'x', 0)`,
    /table webhooks has a row with the ID -9007199254740992/,
  ],
  [
    `sessions (id, account_id, digest, created_at, last_seen_at, ip, signed_in_by) VALUES (0, 1, 'd', 0, 0, '', 'totp')`,
    /table sessions has a row with the ID 0/,
  ],
  [
    `token_uses VALUES (${BELOW_SAFE}, 'team/a', NULL, NULL)`,
    /token_uses has an entry that no event explains: token -9007/,
  ],
  [
    `audit_events (id, at, action, decision, via, username, hash) VALUES (${BELOW_SAFE}, 0, 'git.pushed', 'allowed', 'git', 'eve', '')`,
    /event -9007199254740992 was not written by gitgate/,
  ],
  [
    `audit_events (id, at, action, decision, via, username, hash) VALUES (9007199254740991, 0, 'git.pushed', 'allowed', 'git', 'eve', '')`,
    /events \d+ to 9007199254740990 were removed/,
  ],
]

async function attacked(t: Test, statement: string): Promise<GitgateCli> {
  const folder = temporaryFolder(t)
  const data = join(folder, 'data')
  const store = openStore(data, undefined, { durable: false, clock: () => NOON })
  const { id } = await addAccount(store, 'alice')
  await store.tokens.add(GATE_CONTEXT, newToken(id))
  await store.close()
  const database = new SQLite(join(data, 'gitgate.sqlite3'))
  database.function('unicode_lower', { deterministic: true }, (text) => String(text).toLowerCase())
  database.pragma('foreign_keys = OFF')
  database.exec(statement)
  database.close()
  return new GitgateCli(folder)
}

t.test('verification reports a row with an ID that gitgate never assigns', async (t) => {
  for (const [planted, said] of ATTACKS) {
    const cli = await attacked(t, `INSERT INTO ${planted}`)
    const { status, stderr } = await cli.run(['audit', 'verify'])
    t.equal(status, 1, planted)
    t.match(stderr, said, planted)
    const listed = (await cli.json('audit', 'list', '--user', 'alice', '--limit', '1')) as unknown[]
    t.equal(listed.length, 1)
  }
})
