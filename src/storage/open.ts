import { closeSync, existsSync, openSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import SQLite from 'better-sqlite3'
import type { AccessSource } from '../domain/access/memory.js'
import type { GrantStore } from '../domain/access/grant.js'
import type { ProtectionStore } from '../domain/access/protection.js'
import type { AccountStore } from '../domain/accounts/account.js'
import type { SessionStore } from '../domain/accounts/session.js'
import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import type { AuditContext } from '../domain/audit/event.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { AuditStore } from '../domain/audit/audit-log.js'
import type { Clock } from '../core/clock.js'
import { systemClock } from '../core/clock.js'
import { GitgateError, hasSystemCode, messageOf } from '../core/errors.js'
import type { NotificationStore } from '../domain/notifications/delivery.js'
import type { WebhookStore } from '../domain/notifications/webhook.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { TokenStore } from '../domain/tokens/store.js'
import { accessSource } from './access-source.js'
import { accountStore } from './account-store.js'
import { auditStore } from './audit-store.js'
import { AuditCheckpoint } from './signed-heads.js'
import type { Verifier } from './audit-verify.js'
import { AuditWriter } from './audit-rows.js'
import type { DataFolder } from './data-folder.js'
import { databaseIn, openDataFolder, readKey, shareDataFolder } from './data-folder.js'
import { copyDatabase } from './database-copy.js'
import type { Queries } from './database.js'
import { queriesOver, WriteQueue } from './database.js'
import { diskFullIn, DiskSpace, isDiskFull } from './disk-space.js'
import type { InstanceFacts, JobRuns } from './instance-facts.js'
import { instanceFacts, jobRuns } from './instance-facts.js'
import { grantStore } from './grant-store.js'
import { keepMigrationCopy } from './kept-databases.js'
import { migrate } from './migrate.js'
import { notificationStore } from './notification-store.js'
import { protectionStore } from './protection-store.js'
import { Sealer } from './seal.js'
import { sessionStore } from './session-store.js'
import { settingStore } from './setting-store.js'
import { tokenStore } from './token-store.js'
import type { ChangeEvent } from './audited-changes.js'
import { AuditedChanges } from './audited-changes.js'
import { twoFactorStore } from './two-factor-store.js'
import { webhookStore } from './webhook-store.js'

/** An open database. Each change says on whose behalf it is made, and its audit event is written in the same transaction. */
export type Store = {
  readonly accounts: AccountStore
  readonly twoFactors: TwoFactorStore
  readonly sessions: SessionStore
  readonly tokens: TokenStore
  readonly grants: GrantStore
  readonly protections: ProtectionStore
  readonly settings: SettingStore
  readonly notifications: NotificationStore
  readonly webhooks: WebhookStore
  readonly jobRuns: JobRuns
  readonly facts: InstanceFacts
  readonly audit: AuditStore
  readonly access: AccessSource
  /** Records a change that was made elsewhere, such as to a repository. */
  note(context: AuditContext, event: ChangeEvent): Promise<void>
  /**
   * For a server at its start: reserves disk space for revocations.
   *
   * @throws GitgateError `disk-full`, with the folder and what to do
   */
  reserveSpace(): Promise<void>
  /** Whether the disk is full, so that only revocations, blocks and sign-outs are still written. */
  isDiskFull(): Promise<boolean>
  /** Writes a complete copy of the database while it is in use. @throws GitgateError `conflict` when the file exists */
  backup(file: string): void
  /** Closes the store. It can't be used afterwards. */
  close(): Promise<void>
}

// While a database is opened. Other processes hold the write lock for milliseconds; five seconds mean that something is wrong.
const BUSY_TIMEOUT_MS = 5_000
const BUSY_POLL_MS = 20

/** How a store is opened. */
export type StoreOptions = {
  /** @default the machine's */
  readonly clock?: Clock
  /** Removes secrets from texts for the audit log. @default leaves them as they are */
  readonly redact?: (text: string) => string
  /** Whether commits survive a power cut, for which each waits for the disk. @default true */
  readonly durable?: boolean
}

/**
 * Opens the store of a data folder; makes both where there are none, and brings the schema up to date.
 *
 * @param keyFile where the key is, if not in the folder
 * @throws GitgateError `store`, with what to do, when the folder, the key or the database can't be used
 */
export function openStore(dataFolder: string, keyFile: string | undefined, options: StoreOptions = {}): Store {
  const folder = openDataFolder(dataFolder, keyFile)
  const lock = shareDataFolder(folder)
  try {
    const store = openStoreIn(folder, options, (version) => keepMigrationCopy(folder.database, version))
    return {
      ...store,
      async close() {
        await store.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** The same in a folder that is nobody else's. @param keepCopy called before a migration, with the version of the schema */
export function openStoreIn(
  folder: DataFolder,
  { clock = systemClock, redact = (text) => text, durable = true }: StoreOptions = {},
  keepCopy?: (version: number) => void,
): Store {
  const writer = openDatabase(folder.database)
  try {
    migrate(writer, keepCopy)
    configure(writer, durable)
    const sealer = new Sealer(readKey(folder.key, hasSealed(writer)))
    checkKey(writer, sealer, folder.key)
    // From now on the write queue waits.
    writer.pragma('busy_timeout = 0')
    const reader = openDatabase(folder.database)
    configure(reader, durable)
    const disk = new DiskSpace(folder.path, folder.reserve)
    const queries = queriesOver(writer, disk)
    const auditWriter = new AuditWriter(sealer, clock, redact)
    const queue = new WriteQueue(queries)
    const changes = new AuditedChanges(queue, disk, auditWriter, clock)
    const checkpoint = new AuditCheckpoint(folder.checkpoint, sealer)
    checkpoint.removeDrafts()
    if (checkpoint.read() === undefined && isLogEmpty(writer)) checkpoint.write(CHAIN_START)
    const onSnapshot: Verifier['onSnapshot'] = (read) => readSnapshot(folder.database, disk, read)
    const audit = auditStore(
      { path: folder.database, queries, onSnapshot, sealer, checkpoint, redact, clock },
      queue,
      auditWriter,
      changes,
    )
    const accounts = accountStore(queries, changes)
    const grants = grantStore(queries, changes)
    const protections = protectionStore(queries, changes)
    const settings = settingStore(queries, changes)
    return {
      accounts,
      twoFactors: twoFactorStore(queries, sealer, changes),
      sessions: sessionStore(queries, sealer, changes),
      tokens: tokenStore(queries, changes),
      grants,
      protections,
      settings,
      notifications: notificationStore(queries, sealer, changes),
      webhooks: webhookStore(queries, sealer, changes),
      jobRuns: jobRuns(queries, changes),
      facts: instanceFacts(queries, changes),
      audit,
      access: accessSource(reader, { accounts, grants, protections, settings }, folder.database),
      note: (context, event) => changes.apply(context, ({ record }) => record(event)),
      reserveSpace: () => reserveSpace(changes, disk, folder.path),
      isDiskFull: () => disk.isFull(),
      backup: (file) => backup(writer, file),
      async close() {
        await audit.moveCheckpoint()
        reader.close()
        await queries.destroy()
        // Kysely closes the connection only if it was ever used.
        writer.close()
      },
    }
  } catch (error) {
    writer.close()
    throw asStoreError(folder.database, error)
  }
}

/**
 * Has SQLite check every page of a data folder's database.
 *
 * @returns its complaints; none where there is no database yet
 */
export function examineDatabase(dataFolder: string): string[] {
  const path = databaseIn(dataFolder)
  if (!existsSync(path)) return []
  const database = new SQLite(path, { readonly: true, timeout: BUSY_TIMEOUT_MS })
  try {
    const complaints = database.pragma('quick_check', { simple: false }) as { readonly quick_check: string }[]
    return complaints.map(({ quick_check }) => quick_check).filter((line) => line !== 'ok')
  } catch (error) {
    throw isDiskFull(error) ? diskFullIn(dataFolder, error) : error
  } finally {
    database.close()
  }
}

function openDatabase(path: string): SQLite.Database {
  try {
    return new SQLite(path, { timeout: BUSY_TIMEOUT_MS })
  } catch (error) {
    throw asStoreError(path, error)
  }
}

function backup(database: SQLite.Database, file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (cause) {
    throw new GitgateError('conflict', `${file} can't be created: ${messageOf(cause)}`, { cause })
  }
  try {
    copyDatabase(database, file)
  } catch (error) {
    unlinkSync(file)
    throw asStoreError(file, error)
  }
}

/** Makes the reserve, and writes to the database, so that a disk that is full is found before the gate listens. */
async function reserveSpace(changes: AuditedChanges, disk: DiskSpace, folder: string): Promise<void> {
  try {
    await changes.write(async (transaction) => {
      await disk.prepare()
      const probe = transaction.updateTable('instance_facts').set((eb) => ({ value: eb.ref('value') }))
      await probe.where('key', '=', 'security_epoch').execute()
    })
  } catch (error) {
    throw isDiskFull(error) ? diskFullIn(folder, error) : error
  }
}

/** Reads the database as it is at this instant, on a connection of its own. */
async function readSnapshot<T>(path: string, disk: DiskSpace, read: (snapshot: Queries) => Promise<T>): Promise<T> {
  const database = openDatabase(path)
  const queries = queriesOver(database, disk)
  try {
    database.exec('BEGIN')
    return await read(queries)
  } finally {
    database.close()
  }
}

function isLogEmpty(database: SQLite.Database): boolean {
  return database.prepare('SELECT 1 FROM audit_events LIMIT 1').get() === undefined
}

function hasSealed(database: SQLite.Database): boolean {
  const tables = ['two_factors', 'webhooks', 'audit_events']
  return tables.some((table) => database.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get() !== undefined)
}

/** A text, and as what it is signed, which tells the key of a database. */
export const KEY_CHECK = ['the key of this database', 'key check'] as const

/**
 * Refuses a key that is not the one of the database: what is written under it could not be read, and would break the audit log.
 *
 * @throws GitgateError `store`
 */
function checkKey(database: SQLite.Database, sealer: Sealer, path: string): void {
  const kept = database.prepare("SELECT value FROM instance_facts WHERE key = 'key_check'").pluck()
  // Writing waits for other processes, so it is done only once.
  if (kept.get() === undefined)
    database
      .prepare("INSERT INTO instance_facts (key, value) VALUES ('key_check', ?) ON CONFLICT DO NOTHING")
      .run(sealer.sign(...KEY_CHECK))
  if (sealer.isSigned(...KEY_CHECK, kept.get() as string)) return
  throw new GitgateError(
    'store',
    `${path} is not the key of this database, which was encrypted and signed with another one. Restore that key from a backup, or if it is lost: gitgate restore --without-secrets FILE`,
  )
}

function configure(database: SQLite.Database, durable: boolean): void {
  // SQLite's own lower() knows ASCII only.
  database.function('unicode_lower', { deterministic: true }, (text) => String(text).toLowerCase())
  enterWal(database)
  // WAL with NORMAL may lose the last commits when the machine loses power; what was answered must not be lost.
  database.pragma(`synchronous = ${durable ? 'FULL' : 'OFF'}`)
  database.pragma('foreign_keys = ON')
}

/**
 * Turns the write-ahead log on. That takes the whole database for a moment, and where another program has it in use SQLite
 * fails at once, whatever the busy timeout; so it is tried again until then.
 */
function enterWal(database: SQLite.Database): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waited = 0; ; waited += BUSY_POLL_MS) {
    try {
      database.pragma('journal_mode = WAL')
      return
    } catch (error) {
      if (!hasSystemCode(error, 'SQLITE_BUSY') || waited >= BUSY_TIMEOUT_MS) throw error
      Atomics.wait(pause, 0, 0, BUSY_POLL_MS)
    }
  }
}

function asStoreError(path: string, error: unknown): GitgateError {
  if (error instanceof GitgateError) return error
  if (isDiskFull(error)) return diskFullIn(dirname(path), error)
  return new GitgateError('store', `the database ${path} can't be used: ${messageOf(error)}`, { cause: error })
}
