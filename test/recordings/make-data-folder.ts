// `npm run recordings:data-folder` writes the data folders of this version; once for each release.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readVersion } from '../../src/core/version.js'
import { exportDay } from './data-folder.js'
import { beginDay, playDay, tamper } from './play-day.js'

const FOLDERS = join(import.meta.dirname, '..', '..', '..', 'test', 'data-folders')

t.test('write the data folders of this version', async (t) => {
  const folder = join(FOLDERS, readVersion())
  if (existsSync(folder)) throw new Error(`${folder} exists; remove it and ${folder}-tampered to write them anew`)
  const day = await beginDay(t)
  await playDay(day)
  await exportDay(t, day, folder)
  await tamper(day)
  await exportDay(t, day, `${folder}-tampered`)
  t.comment(`wrote ${folder} and ${folder}-tampered`)
})
