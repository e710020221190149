import { printable, replaceUnprintable } from '../../core/printable.js'
import type { ChainFlaw } from './chain.js'

/** What verification found. The database file is checked first, then the chain: tables are compared only with a log that is intact. */
export type Flaw =
  | DatabaseFlaw
  | ChainFlaw
  /** The log has events, but the checkpoint file beside the database is missing or not signed by this gate. */
  | { readonly kind: 'checkpoint-missing'; readonly path: string }
  | StateFlaw

/** Something is wrong with the database itself. */
export type DatabaseFlaw =
  /** A table, index, view or trigger is not what gitgate creates. */
  | {
      readonly kind: 'schema-changed'
      readonly type: string
      readonly name: string
      readonly is: 'missing' | 'extra' | 'changed'
    }
  /** SQLite finds broken pages, or an index that doesn't match its table. */
  | { readonly kind: 'damaged'; readonly complaints: readonly string[] }
  /** A value has another type than its column: a BLOB reads like a text, but never equals one. */
  | {
      readonly kind: 'wrong-type'
      readonly table: string
      readonly column: string
      readonly expected: string
      readonly found: string
    }

/** The database does not match the log. */
export type StateFlaw =
  /** A table that is derived from the log lacks an entry, or has an extra one. */
  | { readonly kind: 'index-changed'; readonly table: string; readonly entry: string; readonly is: 'missing' | 'extra' }
  /** The facts carried over from pruned events are not what the event with this ID says. */
  | { readonly kind: 'carried-changed'; readonly id: number | null }
  /** A row has an ID that gitgate never assigns. */
  | { readonly kind: 'invalid-id'; readonly table: string; readonly id: string }
  /** A value contradicts the rest of its row, or the number of events. */
  | {
      readonly kind: 'inconsistent'
      readonly table: string
      readonly key: string
      readonly expected: string
      readonly found: string
    }
  /** No event created a row of a table. Values are JSON. */
  | { readonly kind: 'unrecorded'; readonly table: string; readonly key: string; readonly found: string }
  /** A row is not what its last event says. `id` is that event; `null` if it was pruned. */
  | {
      readonly kind: 'not-as-recorded'
      readonly table: string
      readonly key: string
      /** `null`: the event says that it was removed. */
      readonly recorded: string | null
      /** `null`: the row is missing. */
      readonly found: string | null
      readonly id: number | null
    }

/** Describes a flaw, without the final full stop: what was found, where, and what to do. */
export function flawSentence(flaw: Flaw): string {
  return `${SUBJECTS[flaw.kind]}: ${describeFlaw(flaw)}`
}

const CHAIN = 'the audit log was altered'
const STATE = 'the database does not match the audit log'
const SUBJECTS: Readonly<Record<Flaw['kind'], string>> = {
  'schema-changed': "the database's schema was altered",
  damaged: 'the database is damaged',
  'wrong-type': 'the database was edited',
  changed: CHAIN,
  removed: CHAIN,
  added: CHAIN,
  rewritten: CHAIN,
  'ends-changed': CHAIN,
  noted: CHAIN,
  'checkpoint-missing': 'the audit checkpoint is missing',
  'index-changed': STATE,
  'carried-changed': STATE,
  'invalid-id': STATE,
  inconsistent: STATE,
  unrecorded: STATE,
  'not-as-recorded': STATE,
}

/** Describes a flaw, without the subject. */
export function describeFlaw(flaw: Flaw): string {
  switch (flaw.kind) {
    case 'schema-changed':
      return describeSchemaFlaw(flaw)
    case 'damaged':
      return `SQLite reports: ${flaw.complaints.map(replaceUnprintable).join('; ')}. If that names only indexes, stop the gate and rebuild them with the sqlite3 shell (REINDEX, then VACUUM); otherwise restore a backup`
    case 'wrong-type':
      return `the column ${flaw.column} of the table ${flaw.table} has a value of the type ${flaw.found} instead of ${flaw.expected}, which gitgate never stores. Restore a backup`
    case 'changed':
      return `event ${flaw.id} was edited, moved or inserted, or the hash of the event before it was edited`
    case 'removed':
      return flaw.to === flaw.id ? `event ${flaw.id} was removed` : `events ${flaw.id} to ${flaw.to} were removed`
    case 'added':
      return `event ${flaw.id} was not written by gitgate`
    case 'rewritten':
      return `the log was rewritten: event ${flaw.id} has a different hash`
    case 'noted':
      return `event ${flaw.id} records that the log's ends had been edited: events before it may have been removed`
    case 'ends-changed':
      return "the record of the log's ends was edited, or the key is a different one"
    case 'checkpoint-missing':
      return `${flaw.path} is missing or not signed by this gate, so removed events may go unnoticed. Compare the log with a checkpoint that you keep elsewhere (gitgate audit verify --head); then run: gitgate audit repair`
    case 'index-changed':
      return `the table ${flaw.table} ${flaw.is === 'extra' ? 'has an entry that no event explains' : 'lacks an entry'}: ${printable(flaw.entry)}. To rebuild the table from the log, run: gitgate audit repair`
    case 'carried-changed':
      return `the table audit_carried, which keeps the facts of pruned events, does not match ${flaw.id === null ? 'the log' : `event ${flaw.id}`}. Restore a backup, or check accounts, tokens, grants and settings yourself; then run: gitgate audit repair`
    case 'invalid-id':
      return `the table ${flaw.table} has a row with the ID ${flaw.id}, which gitgate never assigns. Restore a backup, or delete the row: DELETE FROM ${flaw.table} WHERE id = ${flaw.id}`
    case 'inconsistent':
      return `${printable(flaw.key)} is ${printable(flaw.found)} in the table ${flaw.table}, but must be ${flaw.expected}. ${remedy(flaw.key)}`
    case 'unrecorded':
      return `${printable(flaw.key)} is ${printable(flaw.found)} in the table ${flaw.table}, but no event says so. ${remedy(flaw.key)}`
    case 'not-as-recorded': {
      const event = flaw.id === null ? 'a pruned event' : `event ${flaw.id}`
      const recorded = flaw.recorded === null ? 'that it was removed' : `that it is ${printable(flaw.recorded)}`
      const found = flaw.found === null ? 'missing from' : `${printable(flaw.found)} in`
      return `${printable(flaw.key)} is ${found} the table ${flaw.table}, but ${event} says ${recorded}. ${remedy(flaw.key)}`
    }
  }
}

function describeSchemaFlaw({ type, name, is }: DatabaseFlaw & { readonly kind: 'schema-changed' }): string {
  const object = `the ${printable(type)} ${printable(name)}`
  switch (is) {
    case 'extra':
      return `${object} is not gitgate's. Find out who created it, stop the gate, and delete it with the sqlite3 shell: DROP ${printable(type).toUpperCase()} "${printable(name)}"; or restore a backup`
    case 'changed':
      return `${object} is not as gitgate created it. Restore a backup`
    case 'missing':
      return `${object} is missing. Restore a backup`
  }
}

/** The command that corrects, or records, what somebody edited in the database. */
function remedy(key: string): string {
  const [kind = '', name = ''] = printable(key).split(/[: ]/)
  switch (kind) {
    case 'setting':
      return `Set the correct value: gitgate settings set ${name} VALUE`
    case 'grant':
      return 'Set the correct value: gitgate access grant, or gitgate access revoke'
    case 'protection':
      return 'Set the correct value: gitgate protect add, or gitgate protect remove'
    case 'webhook':
      return 'Set the correct value: gitgate webhook remove, and gitgate webhook add'
    case 'token':
      return `Revoke it: gitgate token revoke ${name}`
    case 'session':
      return 'To end it, set a new password for the account: gitgate user passwd'
    default:
      if (key.endsWith(' created_at'))
        return 'Restore a backup, or set the column to the time of the event with the sqlite3 shell'
      if (key.endsWith(' email_key'))
        return `Set another address, and then the correct one again: gitgate user edit ${name} --email ADDRESS`
      return key.endsWith(' two_factor')
        ? `Set the correct value: gitgate user 2fa enable ${name}, or disable`
        : `Set the correct value: gitgate user edit, block or unblock; delete an account that nobody added: gitgate user delete ${name}`
  }
}
