import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import type { Test } from 'tap'
import { heldGit } from '../acceptance/cache-world.js'
import { createWorld } from '../acceptance/world.js'
import { Day, jobsDone } from './day.js'
import { lastPush, refusals, revocations, transfers } from './day-git.js'
import { apiCalls, beginning, evening, morning, pages } from './day-people.js'

/** When the gate begins: weeks before the day, so that a token expires and audit events get old. */
const BEGINNING = new Date('2026-01-20T08:00:00Z')

/** Starts the gate of a day. */
export async function beginDay(t: Test): Promise<Day> {
  const held = heldGit(t)
  const world = await createWorld(t, { git: held.path, trustedProxies: '127.0.0.1' }, undefined, { start: BEGINNING })
  await jobsDone(world)
  return new Day(world, held)
}

/** Plays the whole day. */
export async function playDay(day: Day): Promise<void> {
  await beginning(day)
  await morning(day)
  const folder = await transfers(day)
  await refusals(day, folder)
  await apiCalls(day)
  await pages(day)
  await revocations(day, folder)
  await evening(day)
  await lastPush(day, folder)
}

/** Changes what the database says of the end of the audit log, as somebody does who removes events; the gate notes that. */
export async function tamper(day: Day): Promise<void> {
  await day.at('18:00', 'the database is changed by something else than a gate', async () => {
    const database = new SQLite(join(day.world.folder, 'data', 'gitgate.sqlite3'))
    database.exec("UPDATE instance_facts SET value = 'changed' WHERE key = 'audit_head'")
    database.close()
    await day.cli('user unblock mallory')
  })
}
