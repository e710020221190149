// Every data folder that a version has made, opened by today's code.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkFolder } from './data-folder.js'

const FOLDERS = join(import.meta.dirname, '..', '..', '..', 'test', 'data-folders')
const names = readdirSync(FOLDERS, { withFileTypes: true }).filter((entry) => entry.isDirectory())

t.ok(names.length > 1)
for (const { name } of names) t.test(`the data folder ${name}`, (t) => checkFolder(t, join(FOLDERS, name)))
