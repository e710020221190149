import type { Test } from 'tap'
import { DAY, HOUR, MINUTE } from '../../src/core/clock.js'
import type { Flags } from '../../src/config/config.js'
import type { Behaviour } from './mail-server.js'
import { MailServer } from './mail-server.js'
import { until } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

/** A gate at noon that has looked at its jobs, and the server that it hands mails to. */
export async function createNotificationWorld(
  t: Test,
  behaviour: Behaviour = {},
  flags: Flags = {},
): Promise<{ world: World; server: MailServer }> {
  const server = await MailServer.start(t, behaviour)
  const world = await createWorld(t, { smtpUrl: server.url, mailFrom: 'GitGate <gate@example.com>', ...flags })
  await advanceToNoon(world)
  return { world, server }
}

/** Moves a gate's time to noon, and waits until it has looked at its jobs then. */
export async function advanceToNoon(world: World): Promise<void> {
  const lastRun = async () => (await world.store.jobRuns.find('lifetime-revocation'))?.triedAt.getTime()
  // A look that was under way has seen both times; the next one sees the new time alone.
  advanceTo(world, 12 * HOUR - MINUTE)
  await until(async () => (await lastRun()) === world.now.getTime())
  world.advance(MINUTE)
  await until(async () => (await lastRun()) === world.now.getTime())
}

/** Moves a gate's time to the next time that it is so late in UTC. */
export function advanceTo(world: World, milliseconds: number): void {
  const today = Math.floor(world.now.getTime() / DAY) * DAY + milliseconds
  world.advance((today > world.now.getTime() ? today : today + DAY) - world.now.getTime())
}

/** Some days from a gate's today, at midnight UTC. */
export function midnightIn(world: World, days: number): Date {
  return new Date((Math.floor(world.now.getTime() / DAY) + days) * DAY)
}
