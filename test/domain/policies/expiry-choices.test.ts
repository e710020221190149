import t from 'tap'
import { DAY } from '../../../src/core/clock.js'
import { expiryChoices } from '../../../src/domain/policies/expiry-choices.js'
import { issueRules, resolveSettings } from '../../../src/domain/policies/settings.js'

const NOON = new Date('2026-11-24T12:00:00Z')

t.test('the lifetimes that a limit lets be offered', async (t) => {
  const table: Record<string, string> = {
    '': '7 30* 60 90 365 never',
    '400': '7 30* 60 90 365',
    '365': '7 30* 60 90 365!',
    '90': '7 30* 60 90!',
    '45': '7 30* 45!',
    '20': '7 20*!',
    '7': '7*!',
    '1': '1*!',
  }
  for (const [limit, expected] of Object.entries(table)) {
    const changed = new Map(limit === '' ? [] : [['max_personal_access_token_lifetime', limit] as const])
    for (const now of [NOON, new Date(NOON.getTime() + DAY / 2 - 1), new Date(NOON.getTime() + DAY / 2)]) {
      const choices = expiryChoices(issueRules(resolveSettings(changed), now), now)
      const words = choices.map(({ days, isDefault, isLongest }) =>
        [days ?? 'never', isDefault ? '*' : '', isLongest ? '!' : ''].join(''),
      )
      t.equal(words.join(' '), expected, `${limit} at ${now.toISOString()}`)
    }
  }
})
