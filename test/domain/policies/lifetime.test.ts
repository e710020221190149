import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { DAY, HOUR } from '../../../src/core/clock.js'
import { issueRules, resolveSettings } from '../../../src/domain/policies/settings.js'
import { revokeTooLongLived, tooLongLived } from '../../../src/domain/policies/lifetime.js'
import { issueToken } from '../../../src/domain/tokens/issue.js'
import { addAccount, NOON, openTemporaryStore } from '../../storage/temporary-store.js'

t.test('tokens that live longer than a new limit are revoked three hours after it was set', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const rules = issueRules(resolveSettings(new Map()), NOON)
  const issue = async (expiry: Date | 'never') =>
    (await issueToken(store.tokens, GATE_CONTEXT, alice, { name: 'n', scopes: ['api'], expiry }, rules, NOON)).token.id
  const in30Days = new Date('2026-07-15T00:00:00.000Z')
  const never = await issue('never')
  const long = await issue(new Date(in30Days.getTime() + DAY))
  await issue(in30Days)
  await issue(new Date(NOON.getTime() + HOUR))
  await store.tokens.revoke(GATE_CONTEXT, await issue('never'), NOON)

  const at = (hours: number) => new Date(NOON.getTime() + hours * HOUR)
  t.strictSame(await revokeTooLongLived(store.tokens, store.settings, at(100)), [], 'without a limit')
  await store.settings.set(GATE_CONTEXT, new Map([['max_personal_access_token_lifetime', '30']]), NOON)
  const limited = resolveSettings(await store.settings.list())
  const ids = (tokens: readonly { id: number }[]) => tokens.map(({ id }) => id)
  t.strictSame(ids(tooLongLived(await store.tokens.list({}), limited, NOON)), [never, long])
  t.strictSame(await revokeTooLongLived(store.tokens, store.settings, at(2.9)), [])
  t.strictSame(ids(await revokeTooLongLived(store.tokens, store.settings, at(3))), [never, long])
  t.strictSame(await revokeTooLongLived(store.tokens, store.settings, at(4)), [], 'once')

  const other = await issue('never')
  await store.settings.set(GATE_CONTEXT, new Map([['max_personal_access_token_lifetime', 'null']]), at(5))
  t.strictSame(await revokeTooLongLived(store.tokens, store.settings, at(50)), [], 'a limit that was taken back')
  await store.settings.set(GATE_CONTEXT, new Map([['max_personal_access_token_lifetime', '60']]), at(60))
  t.strictSame(await revokeTooLongLived(store.tokens, store.settings, at(62)), [], 'three hours from the new one')
  t.strictSame(ids(await revokeTooLongLived(store.tokens, store.settings, at(63))), [other])
})

t.test('what is within the limit when it is made stays within it', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  await store.settings.set(GATE_CONTEXT, new Map([['max_personal_access_token_lifetime', '30']]), NOON)
  const rules = issueRules(resolveSettings(await store.settings.list()), NOON)
  await issueToken(store.tokens, GATE_CONTEXT, alice, { name: 'n', scopes: ['api'], expiry: undefined }, rules, NOON)
  for (let day = 1; day < 30; day++) {
    const now = new Date(NOON.getTime() + day * DAY)
    t.strictSame(await revokeTooLongLived(store.tokens, store.settings, now), [], `day ${day}`)
  }
})
