import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { CliContext } from './context.js'
import { addCommand, withStore } from './context.js'

/** `gitgate backup`: copies the database. While the gate runs, the database file alone is incomplete. */
export function addBackupCommand(program: Command, context: CliContext): void {
  const summary = 'write a complete copy of the database, even while the gate runs'
  addCommand(program, 'backup <file>', summary, 'gitgate backup /backup/gitgate-$(date +%F).sqlite3').action(
    (file: string, { json }: { json?: true }) =>
      withStore(context, ({ store, output }) => {
        const path = resolve(file)
        store.backup(path)
        if (json === true) output.json({ file: path })
        else output.note(`Wrote ${path}. Back up the key and the repositories as well.`)
      }),
  )
}
