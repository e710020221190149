import { copyFileSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import SQLite from 'better-sqlite3'
import type { ChainHead } from '../domain/audit/chain.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { AuditContext } from '../domain/audit/event.js'
import type { Flaw } from '../domain/audit/flaw.js'
import { systemClock } from '../core/clock.js'
import { GitgateError, messageOf } from '../core/errors.js'
import { AuditCheckpoint } from './signed-heads.js'
import type { DataFolder } from './data-folder.js'
import { claimDataFolder, openDataFolder, partsOf, readKey } from './data-folder.js'
import { findSchemaFlaw } from './database-check.js'
import { commitDraft, draftIn, finishSwap } from './database-swap.js'
import { diskFullIn, isDiskFull } from './disk-space.js'
import { refuseForeignLog } from './foreign-log.js'
import { forgetSecrets } from './forgotten-secrets.js'
import { migrate } from './migrate.js'
import type { StoreOptions } from './open.js'
import { KEY_CHECK, openStoreIn } from './open.js'
import { Sealer } from './seal.js'

/** How a backup is restored. */
export type RestoreOptions = StoreOptions & {
  /** Does without what was encrypted and signed under a key that is lost. */
  readonly withoutSecrets: boolean
  /** Called before each step of putting the database in its place, for tests. */
  readonly onStep?: () => void
}

/** What came of a restore. With a flaw in the backup's audit log, nothing was changed. */
export type RestoreOutcome =
  { readonly kind: 'edited'; readonly flaw: Flaw } | ({ readonly kind: 'restored' } & Restored)

type Restored = {
  readonly database: string
  /** The file of the database that was replaced; `undefined` where there was none. */
  readonly kept: string | undefined
  /** The last event of the backup. */
  readonly head: ChainHead
  /** The last event that the replaced log is known to have had. */
  readonly replacedHead: ChainHead | undefined
  /** What got lost with the key. */
  readonly forgotten: Forgotten | undefined
}

type Forgotten = {
  /** Accounts with two-factor authentication, which can use only tokens for now. */
  readonly locked: readonly string[]
  /** The URLs of webhooks, which were removed. */
  readonly webhooks: readonly string[]
}

/**
 * Puts a backup in the place of a data folder's database, and keeps the one that was there. A kill at any moment leaves one or the
 * other.
 *
 * @param file a backup, or a database that gitgate kept
 * @throws GitgateError `conflict` while somebody uses the data folder, `not-found` and `store` when the backup can't be used; then
 *   nothing was changed
 */
export async function restoreDatabase(
  dataFolder: string,
  keyFile: string | undefined,
  file: string,
  context: AuditContext,
  options: RestoreOptions,
): Promise<RestoreOutcome> {
  const folder = openDataFolder(dataFolder, keyFile)
  const lock = claimDataFolder(folder)
  const draft = { ...partsOf(draftIn(folder.path), keyFile), key: folder.key }
  const hadKey = existsSync(folder.key)
  let isDone = false
  try {
    finishSwap(folder)
    rmSync(draft.path, { recursive: true, force: true })
    mkdirSync(draft.path, { mode: 0o700 })
    takeBackup(file, draft)
    // Before anything is written to it: a trigger could prevent that.
    const flaw = withDatabase(draft.database, findSchemaFlaw)
    if (flaw !== undefined) return { kind: 'edited', flaw }
    const locked = withDatabase(draft.database, (database) => {
      migrate(database)
      // A session that was ended since the backup was made would begin again.
      database.exec('DELETE FROM sessions')
      return options.withoutSecrets ? replaceKey(database, draft.key) : undefined
    })
    const sealer = new Sealer(readKey(draft.key, true))
    const replacedHead = new AuditCheckpoint(folder.checkpoint, sealer).read()
    // The checkpoint of the data folder belongs to another log.
    new AuditCheckpoint(draft.checkpoint, sealer).write(CHAIN_START)
    const ready = await makeReady(draft, file, locked, context, options)
    if (ready.kind === 'edited') return ready
    commitDraft(folder.path, (options.clock ?? systemClock)())
    isDone = true
    return {
      ...ready,
      kind: 'restored',
      database: folder.database,
      kept: finishSwap(folder, options.onStep),
      replacedHead,
    }
  } catch (error) {
    throw isDiskFull(error) ? diskFullIn(folder.path, error) : error
  } finally {
    rmSync(draft.path, { recursive: true, force: true })
    if (!isDone && !hadKey) rmSync(folder.key, { force: true })
    lock.release()
  }
}

/** Copies a backup, with its log if it is a database that was kept, and has SQLite check every page. Verification checks indexes. */
function takeBackup(file: string, draft: DataFolder): void {
  if (!existsSync(file)) throw new GitgateError('not-found', `there is no file ${file}`)
  if (!statSync(file).isFile()) throw new GitgateError('invalid', `${file} is not a file`)
  refuseForeignLog(file)
  for (const side of ['', '-wal'])
    if (existsSync(`${file}${side}`)) copyFileSync(`${file}${side}`, `${draft.database}${side}`)
  const complaint = findDamage(draft.database)
  if (complaint !== undefined)
    throw new GitgateError(
      'store',
      `${file} is damaged or not a backup: ${complaint}; nothing was changed. Try another backup`,
    )
}

function findDamage(path: string): string | undefined {
  try {
    return withDatabase(path, (database) => {
      const complaint = String(database.pragma('quick_check(1)', { simple: true }))
      if (complaint !== 'ok') return complaint
      const tables = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_events'").get()
      return tables === undefined ? 'it has no tables of gitgate' : undefined
    })
  } catch (error) {
    if (isDiskFull(error)) throw error
    return messageOf(error)
  }
}

/** @returns the accounts that can use only tokens for now. @throws GitgateError `conflict` where the key is not lost */
function replaceKey(database: SQLite.Database, key: string): string[] {
  const check = database.prepare("SELECT value FROM instance_facts WHERE key = 'key_check'").pluck().get()
  if (existsSync(key) && typeof check === 'string' && new Sealer(readKey(key, true)).isSigned(...KEY_CHECK, check))
    throw new GitgateError('conflict', `${key} is the key of this backup; restore it without --without-secrets`)
  return forgetSecrets(database, new Sealer(readKey(key, false)))
}

type Ready = { readonly kind: 'ready'; readonly head: ChainHead; readonly forgotten: Forgotten | undefined }

/** Verifies the audit log of the draft, and adds the event of the restore. */
async function makeReady(
  draft: DataFolder,
  file: string,
  locked: readonly string[] | undefined,
  context: AuditContext,
  options: StoreOptions,
): Promise<Ready | { readonly kind: 'edited'; readonly flaw: Flaw }> {
  const store = openStoreIn(draft, options)
  try {
    let { flaw, head } = await store.audit.verify()
    if (flaw?.kind === 'index-changed') {
      await store.audit.repair(context)
      ;({ flaw, head } = await store.audit.verify())
    }
    // What a gate has found and noted in the log is in every later backup, too.
    if (flaw !== undefined && flaw.kind !== 'noted') return { kind: 'edited', flaw }
    const webhooks = locked === undefined ? [] : await store.webhooks.list()
    for (const { id } of webhooks) await store.webhooks.remove(context, id)
    const details = { file: basename(file), event: head.id, ...(locked === undefined ? {} : { locked }) }
    await store.note(context, { action: 'database.restored', details })
    return { kind: 'ready', head, forgotten: locked && { locked, webhooks: webhooks.map(({ url }) => url) } }
  } finally {
    await store.close()
  }
}

function withDatabase<T>(path: string, use: (database: SQLite.Database) => T): T {
  const database = new SQLite(path)
  try {
    return use(database)
  } finally {
    database.close()
  }
}
