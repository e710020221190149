import { existsSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { syncToDisk } from './database-copy.js'

/**
 * A restored database takes the place of another in steps, none of which a kill can spoil. It is made ready in a folder inside the
 * data folder, with its checkpoint. Renaming this folder to {@link READY} commits: from then on, whoever opens the data folder next
 * finishes the steps, each of which may have been taken already.
 */
const DRAFT = 'restore-draft'
const READY = /^restored-(\d{8}T\d{6}Z)$/

/** Where a database is made ready. */
export function draftIn(dataFolder: string): string {
  return join(dataFolder, DRAFT)
}

/** Whether a name in a data folder belongs to a restore that was interrupted. */
export function isOfRestore(name: string): boolean {
  return name === DRAFT || READY.test(name)
}

/** Whether a restored database is yet to take its place. */
export function isSwapPending(dataFolder: string): boolean {
  return readdirSync(dataFolder).some((name) => READY.test(name))
}

/** Makes the draft the database that will be opened next, whatever happens from here on. */
export function commitDraft(dataFolder: string, now: Date): void {
  const draft = draftIn(dataFolder)
  syncToDisk(draft)
  renameSync(draft, join(dataFolder, `restored-${timestampOf(now)}`))
  syncToDisk(dataFolder)
}

/**
 * Puts a committed database in its place, and keeps the one that was there. Nobody else may use the data folder meanwhile.
 *
 * @param onStep called before each step, for tests
 * @returns the file of the database that was replaced; `undefined` where there was none
 */
export function finishSwap(
  { path, database, checkpoint }: { readonly path: string; readonly database: string; readonly checkpoint: string },
  onStep: () => void = () => undefined,
): string | undefined {
  let kept: string | undefined
  for (const name of readdirSync(path)) {
    const [, stamp] = READY.exec(name) ?? []
    if (stamp === undefined) continue
    const ready = join(path, name)
    const restored = join(ready, basename(database))
    const replaced = `${database}.before-${stamp}`
    const move = (from: string, to: string): void => {
      if (!existsSync(from)) return
      onStep()
      renameSync(from, to)
    }
    // Without it all steps but the last are done, and the database in place is the restored one.
    if (existsSync(restored)) {
      // Before the database itself: a log that stays alone would be taken for that of the restored one.
      for (const side of ['-wal', '-journal']) move(`${database}${side}`, `${replaced}${side}`)
      rmSync(`${database}-shm`, { force: true })
      if (!existsSync(replaced)) move(database, replaced)
      move(join(ready, basename(checkpoint)), checkpoint)
      syncToDisk(path)
      move(restored, database)
      syncToDisk(path)
    }
    onStep()
    rmdirSync(ready)
    if (existsSync(replaced)) kept = replaced
  }
  return kept
}

/** `20260131T080000Z`: an instant as a part of a file's name. */
function timestampOf(now: Date): string {
  return now.toISOString().replace(/[-:]|\.\d+/g, '')
}
