// Each change writes its audit event in the same transaction, with who made it and without secrets.
import t from 'tap'
import type { Actor, AuditEvent } from '../../src/domain/audit/event.js'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { newToken } from './new-token.js'
import { NOON, addAccount, openTemporaryStore } from './temporary-store.js'

const HIDDEN = ['a-digest', 'a-hash', 'a-seed', 'a-code']
const secret = (text: string): Secret => new Secret(text, 'secret')
const ROOT: Actor = {
  via: 'api',
  operator: null,
  accountId: 7,
  username: 'root',
  tokenId: 9,
  impersonator: null,
  ip: '192.0.2.7',
  userAgent: 'curl/8',
  requestId: 'r-1',
}

async function recorded(store: Store, change: () => Promise<unknown>): Promise<string[]> {
  const { id } = await store.audit.head()
  await change()
  const rows = await store.audit.list({ limit: 100, after: id, oldestFirst: true })
  for (const row of rows) {
    const { via, accountId, username, tokenId, ip, userAgent, requestId } = row
    const { operator, impersonator } = row
    t.strictSame({ via, operator, accountId, username, tokenId, impersonator, ip, userAgent, requestId }, ROOT)
    for (const hidden of HIDDEN) t.notOk(JSON.stringify(row).includes(hidden), `${row.action} hides ${hidden}`)
  }
  return rows.map(({ action, target }) => `${action} ${target ?? ''}`)
}

t.test('every mutation is a row that names who made it, and what it was made to', async (t) => {
  const store = openTemporaryStore(t, { clock: () => NOON })
  const { accounts, tokens, twoFactors, grants, protections, settings, notifications, webhooks } = store
  const by = { actor: ROOT }
  const token = (digest: string) => newToken(1, { digest: secret(digest) })
  const protection = {
    repositories: '**',
    refs: 'refs/heads/main',
    push: 'write',
    force: 'nobody',
    delete: 'admin',
  } as const
  const expected: readonly (readonly [string[], () => Promise<unknown>])[] = [
    [['user.added user:alice'], () => addAccount(store, 'alice', { passwordHash: secret('a-hash') }, by)],
    [['user.changed user:alice'], () => accounts.change(by, 1, { name: 'Alice A.', email: 'a@example.com' })],
    [[], () => accounts.change(by, 1, { name: 'Alice A.' })],
    [['user.password_changed user:alice'], () => accounts.setPasswordHash(by, 1, secret('a-hash'))],
    [['user.blocked user:alice'], () => accounts.setState(by, 1, 'blocked')],
    [['user.unblocked user:alice'], () => accounts.setState(by, 1, 'active')],
    [['two_factor.enabled user:alice'], () => twoFactors.enable(by, 1, secret('a-seed'), [secret('a-code')], NOON)],
    [['two_factor.recovery_code_used user:alice'], () => twoFactors.takeRecoveryCode(by, 1)],
    [[], () => twoFactors.takeRecoveryCode(by, 1)],
    [['two_factor.disabled user:alice'], () => twoFactors.disable(by, 1)],
    [['token.created token:1'], () => tokens.add(by, token('a-digest'))],
    [
      ['token.created token:2', 'token.rotated token:1'],
      () => tokens.replace(by, 1, { ...token('a-digest 2'), previousId: 1 }, NOON),
    ],
    [[], () => tokens.replace(by, 1, token('a-digest 3'), NOON)],
    [['token.derived token:3'], () => tokens.add(by, { ...token('a-digest 4'), parentId: 2 })],
    [['token.revoked token:2'], () => tokens.revoke(by, 2, new Date(NOON.getTime() + DAY))],
    [[], () => tokens.revoke(by, 2, new Date(NOON.getTime() + 2 * DAY))],
    [['grant.set grant:alice **'], () => grants.put(by, { subject: 'alice', role: 'read', pattern: '**' }, NOON)],
    [['grant.removed grant:alice **'], () => grants.remove(by, 'alice', '**')],
    [[], () => grants.remove(by, 'alice', '**')],
    [['protection.set protection:** refs/heads/main'], () => protections.put(by, protection, NOON)],
    [['protection.removed protection:** refs/heads/main'], () => protections.remove(by, '**', 'refs/heads/main')],
    [['setting.changed setting:push_to_create'], () => settings.set(by, new Map([['push_to_create', 'false']]), NOON)],
    [['user.notices_changed user:alice'], () => notifications.setKindsOff(by, 1, ['created'])],
    [['webhook.set webhook:1'], () => webhooks.add(by, 1, 'https://example.com/a-code', secret('a-seed'), NOON)],
    [['webhook.removed webhook:1'], () => webhooks.remove(by, 1)],
    [[], () => webhooks.remove(by, 1)],
    [['user.deleted user:alice'], async () => accounts.remove(by, (await accounts.find(1))!)],
  ]
  for (const [rows, change] of expected) t.strictSame(await recorded(store, change), rows)
  t.equal((await store.audit.verify()).flaw, undefined)
})

t.test('a change that fails leaves no row, and a row that can’t be written lets nothing be changed', async (t) => {
  const store = openTemporaryStore(t)
  await addAccount(store, 'alice')
  const { id } = await store.audit.head()
  await t.rejects(addAccount(store, 'ALICE'), { code: 'conflict' })
  t.equal((await store.audit.head()).id, id)
  // The database knows no such value, so the row can't be written.
  const unwritable = { actor: { ...THE_GATE, ip: {} as string } }
  await t.rejects(store.accounts.setState(unwritable, 1, 'blocked'))
  t.equal((await store.accounts.find(1))?.state, 'active')
  t.equal((await store.audit.head()).id, id)
})

t.test('rows are found by who, what, where and when', async (t) => {
  const store = openTemporaryStore(t)
  const event = (given: Partial<AuditEvent>): AuditEvent => ({
    ...auditEvent(THE_GATE, NOON, { action: 'git.fetch' }),
    ...given,
  })
  await store.audit.record([
    event({ username: 'alice', tokenId: 5, repository: 'team/app', ip: '192.0.2.1' }),
    event({
      username: 'bob',
      impersonator: 'root',
      repository: 'team/app_2',
      action: 'git.push',
      at: new Date(NOON.getTime() + DAY),
    }),
    event({ action: 'token.revoked', target: 'token:5', decision: 'refused' }),
    event({ action: 'user.blocked', target: 'user:alice', repository: 'team/appX2' }),
  ])
  const ids = async (query: object) => (await store.audit.list({ limit: 10, ...query })).map(({ id }) => id)
  t.strictSame(await ids({}), [4, 3, 2, 1], 'newest first')
  t.strictSame(await ids({ oldestFirst: true, limit: 2 }), [1, 2])
  t.strictSame(await ids({ user: 'alice' }), [4, 1])
  t.strictSame(await ids({ user: 'root' }), [2])
  t.strictSame(await ids({ tokens: [5] }), [3, 1])
  t.strictSame(await ids({ repository: 'team/app' }), [1])
  t.strictSame(await ids({ repository: 'team/app_*' }), [2], 'only * is a wildcard')
  t.strictSame(await ids({ repository: 'team/*' }), [4, 2, 1])
  t.strictSame(await ids({ action: 'git' }), [2, 1])
  t.strictSame(await ids({ action: 'git.push' }), [2])
  t.strictSame(await ids({ decision: 'refused' }), [3])
  t.strictSame(await ids({ ip: '192.0.2.1' }), [1])
  t.strictSame(await ids({ since: new Date(NOON.getTime() + 1) }), [2])
  t.strictSame(await ids({ until: new Date(NOON.getTime() + 1) }), [4, 3, 1])
  t.strictSame(await ids({ after: 1, before: 4 }), [3, 2])
})
