// Log lines and audit events of a day with every kind of request, command and job; and the data folder that it leaves.
import { join } from 'node:path'
import t from 'tap'
import { AUDIT_ACTIONS } from '../../src/domain/audit/event.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { checkFolder, exportDay } from './data-folder.js'
import { beginDay, playDay, tamper } from './play-day.js'
import { compareRecording } from './recording.js'

t.test('a day is logged and audited as recorded', async (t) => {
  const day = await beginDay(t)
  await playDay(day)
  t.equal((await day.world.store.audit.verify()).flaw, undefined, 'nothing that gitgate does looks as if it was edited')
  const folder = join(temporaryFolder(t), 'exported')
  await exportDay(t, day, folder)
  await tamper(day)
  const json = await day.cli('audit list --limit 10000 --json')
  const events = JSON.parse(json) as { at: string; action: string }[]
  compareRecording(t, 'log.txt', day.log())
  compareRecording(t, 'audit.txt', day.audit(events))

  const known = new Set(events.map(({ action }) => action))
  const missing = AUDIT_ACTIONS.filter((action) => !known.has(action))
  // Nothing is restored while a gate runs.
  t.strictSame(missing, ['database.restored'], 'every other audit action happens in the day')
  await t.test('the data folder that it leaves can be used', (t) => checkFolder(t, folder))
})
