import t from 'tap'
import { until } from '../acceptance/until.js'
import { JOBS } from '../../src/jobs/jobs.js'
import { repeat } from '../../src/core/repeat.js'
import { readSchedule } from '../../src/jobs/schedule.js'

t.test('a schedule is read in UTC, whatever the zone of the machine', async (t) => {
  const zone = process.env['TZ']
  // A night without 02:00 in this zone: 2026-03-29.
  process.env['TZ'] = 'Europe/Berlin'
  t.teardown(() => (zone === undefined ? delete process.env['TZ'] : (process.env['TZ'] = zone)))
  const expiry = await readSchedule(JOBS['expiry-notification'].schedule)
  const minute = await readSchedule(JOBS['lifetime-revocation'].schedule)
  const cases = [
    ['2026-03-29T00:59:59.999Z', '2026-03-28T01:00:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['2026-03-29T01:00:00.000Z', '2026-03-29T01:00:00.000Z', '2026-03-30T01:00:00.000Z'],
    ['2026-03-29T01:00:00.001Z', '2026-03-29T01:00:00.000Z', '2026-03-30T01:00:00.000Z'],
    ['2026-03-29T23:59:59.999Z', '2026-03-29T01:00:00.000Z', '2026-03-30T01:00:00.000Z'],
    ['2027-01-01T00:30:00.000Z', '2026-12-31T01:00:00.000Z', '2027-01-01T01:00:00.000Z'],
  ] as const
  for (const [now, latest, next] of cases) {
    t.equal(expiry.latest(new Date(now)).toISOString(), latest, `latest at ${now}`)
    t.equal(expiry.next(new Date(now)).toISOString(), next, `next at ${now}`)
  }
  t.equal(minute.latest(new Date('2026-03-29T00:00:00.000Z')).toISOString(), '2026-03-29T00:00:00.000Z')
  t.equal(minute.next(new Date('2026-03-29T00:00:00.000Z')).toISOString(), '2026-03-29T00:01:00.000Z')
})

t.test('what is repeated is done at once, never twice at a time, and goes on after failures', async (t) => {
  const errors: unknown[] = []
  let [running, times] = [0, 0]
  const repeated = repeat(
    10,
    async () => {
      running += 1
      times += 1
      t.equal(running, 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      running -= 1
      if (times === 1) throw new Error('not yet')
    },
    (error) => errors.push(error),
  )
  t.equal(times, 1)
  await until(() => times === 2)
  await repeated.stop()
  t.equal(running, 0, 'stopping waits for what is under way')
  t.match(errors, [{ message: 'not yet' }])
  t.equal(times, 2)
})
