// Who changes how an account is signed in to is told of by mail: to its owner, once, and without a secret.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { generateSync } from 'otplib'
import t from 'tap'
import { FormClient } from '../pages/form-client.js'
import { createNotificationWorld } from './notification-world.js'
import { until } from './until.js'

const PASSWORD = 'correct horse battery'
const NEXT = 'another horse battery'
const TWO_FACTOR = '/-/user_settings/two_factor_auth'
const CODES = `${TWO_FACTOR}/recovery_codes`

t.test('a changed password, and a second factor that comes and goes, are told to the owner', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await world.setPassword('alice', PASSWORD)
  await world.setPassword('root', PASSWORD)
  const [first] = await server.waitFor('Your password was changed')
  t.match(first?.text, 'by gitgate')
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const changed = await alice.submit('/-/user_settings/password', {
    current_password: PASSWORD,
    password: NEXT,
    password_confirmation: NEXT,
  })
  t.equal(changed.status, 303)
  const mails = await waitForNumber(2, 'Your password was changed')
  t.match(mails[1]?.text, /was changed on .* UTC, by you, from 127\.0\.0\.1\./)
  t.match(mails[1]?.text, `Your sessions: ${world.url}/-/user_settings/active_sessions`)
  t.notMatch(mails[1]?.raw, NEXT)

  const seed = (/id="seed">([^<]+)</.exec((await alice.get(TWO_FACTOR)).body)?.[1] ?? '').replaceAll(' ', '')
  const code = generateSync({ secret: seed, epoch: Math.floor(world.now.getTime() / 1_000) })
  t.equal((await alice.submit(TWO_FACTOR, { code, current_password: NEXT })).headers['location'], CODES)
  const codes = (await alice.get(CODES)).body.match(/\b[0-9a-z]{4}(-[0-9a-z]{4}){2}\b/g) ?? []
  t.ok(codes.length >= 10)
  const [on] = await waitForNumber(1, 'turned on')
  t.match(on?.text, 'by you, from 127.0.0.1')
  t.equal((await alice.submit(CODES, { current_password: NEXT }, TWO_FACTOR)).status, 303)
  const [anew] = await waitForNumber(1, 'recovery codes were replaced')
  for (const secret of [...codes, seed, code]) for (const mail of [on, anew]) t.notMatch(mail?.raw, secret)

  const root = new FormClient(world.url)
  await root.signIn('root', PASSWORD)
  const path = '/-/admin/users/alice/reset_two_factor'
  t.equal((await root.submit(path, { current_password: PASSWORD })).status, 303)
  const [off] = await waitForNumber(1, 'turned off')
  t.match(off?.text, /turned off for your account on .* UTC, by root\. .*change your password/s)

  const { id } = await world.account('alice')
  await world.store.accounts.change(GATE_CONTEXT, id, { email: 'alice@home.example' })
  const [gone] = await waitForNumber(1, 'Your email address was changed')
  t.match(gone?.text, /by gitgate\. .*tell your administrator immediately/s)
  await world.store.accounts.change(GATE_CONTEXT, id, { email: null })
  t.same((await server.waitFor('Your email address was changed', 2))[1]?.recipients, ['alice@home.example'])
  await world.store.accounts.change(GATE_CONTEXT, id, { email: 'alice@example.com' })
  await world.store.notifications.setKindsOff(GATE_CONTEXT, id, ['password-changed'])
  await until(async () => (await world.store.notifications.waiting()).count === 0)
  await world.setPassword('alice', PASSWORD)
  await world.nextLooks()
  t.equal(ofAlice('Your password was changed').length, 2, 'who does not want to know is not told')

  function ofAlice(subject: string) {
    return server.about(subject).filter(({ recipients }) => recipients.includes('alice@example.com'))
  }
  async function waitForNumber(count: number, subject: string) {
    await until(() => ofAlice(subject).length >= count)
    t.equal(ofAlice(subject).length, count, subject)
    return ofAlice(subject)
  }
})
