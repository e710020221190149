import { printable } from '../../core/printable.js'
import type { ChainFlaw } from './chain.js'

/** What verification found wrong. Flaws of the chain come first: what the log says is compared only where the log is right. */
export type Flaw =
  | ChainFlaw
  /** The log has rows, and the file beside the database that notes one of them is gone, or not signed by this gate. */
  | { readonly kind: 'mark-missing'; readonly path: string }
  | StateFlaw

/** The database holds something else than the log says. */
export type StateFlaw =
  /** A table that is derived from the log lacks an entry, or has one too many. */
  | { readonly kind: 'index-changed'; readonly table: string; readonly entry: string; readonly is: 'missing' | 'extra' }
  /** What is kept of pruned rows is not what the row with this number says. */
  | { readonly kind: 'carried-changed'; readonly id: number | null }
  /** A row of a table has no event that put it there. Values are JSON. */
  | { readonly kind: 'unrecorded'; readonly table: string; readonly key: string; readonly found: string }
  /** A row is not what its last event says. `id` is that event's row, `null` where it was pruned. */
  | {
      readonly kind: 'not-as-recorded'
      readonly table: string
      readonly key: string
      /** `null`: that it was removed. */
      readonly recorded: string | null
      /** `null`: it is missing. */
      readonly found: string | null
      readonly id: number | null
    }

/** One sentence about a flaw, without its end: what was found, where, and what to do. */
export function flawSentence(flaw: Flaw): string {
  return `${SUBJECTS[flaw.kind]}: ${describeFlaw(flaw)}`
}

const CHAIN = 'the audit trail is not what was written'
const STATE = 'the database does not match the audit log'
const SUBJECTS: Readonly<Record<Flaw['kind'], string>> = {
  changed: CHAIN,
  removed: CHAIN,
  added: CHAIN,
  rewritten: CHAIN,
  'ends-changed': CHAIN,
  noted: CHAIN,
  'mark-missing': 'the audit mark is lost',
  'index-changed': STATE,
  'carried-changed': STATE,
  unrecorded: STATE,
  'not-as-recorded': STATE,
}

/** The same without what it is about. */
export function describeFlaw(flaw: Flaw): string {
  switch (flaw.kind) {
    case 'changed':
      return `row ${flaw.id} is not what was written there: it was changed, moved or put in, or the hash of the row before it was changed`
    case 'removed':
      return flaw.to === flaw.id ? `row ${flaw.id} was removed` : `rows ${flaw.id} to ${flaw.to} were removed`
    case 'added':
      return `row ${flaw.id} was added by something else than gitgate`
    case 'rewritten':
      return `the trail was written anew: the hash of row ${flaw.id} is another one`
    case 'noted':
      return `row ${flaw.id} notes that the ends of the trail were found changed: rows before it may have been removed`
    case 'ends-changed':
      return 'what is kept about the ends of the trail was changed, or the key is another one'
    case 'mark-missing':
      return `${flaw.path} is missing, or not signed by this gate, so removed rows may go unnoticed. Compare the log with a head that you keep elsewhere (gitgate audit verify --head); then run: gitgate audit repair`
    case 'index-changed':
      return `the table ${flaw.table} ${flaw.is === 'extra' ? 'has an entry that no row of the log makes' : 'lacks an entry'}: ${printable(flaw.entry)}. To build the table from the log again, run: gitgate audit repair`
    case 'carried-changed':
      return `the table audit_carried, which keeps what pruned rows said, is not what ${flaw.id === null ? 'the log' : `row ${flaw.id}`} says. Restore a backup, or check accounts, tokens, grants and settings yourself; then run: gitgate audit repair`
    case 'unrecorded':
      return `${printable(flaw.key)} is ${printable(flaw.found)} in the table ${flaw.table}, and no event says so. ${remedy(flaw.key)}`
    case 'not-as-recorded': {
      const event = flaw.id === null ? 'a pruned row' : `row ${flaw.id}`
      const recorded = flaw.recorded === null ? 'that it was removed' : `that it is ${printable(flaw.recorded)}`
      const found = flaw.found === null ? 'missing from' : `${printable(flaw.found)} in`
      return `${printable(flaw.key)} is ${found} the table ${flaw.table}, and ${event} of the log says ${recorded}. ${remedy(flaw.key)}`
    }
  }
}

/** What puts right, or records, what somebody changed in the database. */
function remedy(key: string): string {
  const [kind = '', name = ''] = printable(key).split(/[: ]/)
  switch (kind) {
    case 'setting':
      return `Set it to what it should be: gitgate settings set ${name} VALUE`
    case 'grant':
      return 'Set it to what it should be: gitgate access grant, or gitgate access revoke'
    case 'protection':
      return 'Set it to what it should be: gitgate protect add, or gitgate protect remove'
    case 'webhook':
      return 'Set it to what it should be: gitgate webhook remove, and gitgate webhook add'
    case 'token':
      return `Revoke it: gitgate token revoke ${name}`
    case 'session':
      return 'End it by a new password for the account: gitgate user passwd'
    default:
      return key.endsWith(' two_factor')
        ? `Set it to what it should be: gitgate user 2fa enable ${name}, or disable`
        : `Set it to what it should be: gitgate user edit, block or unblock; delete an account that nobody added: gitgate user delete ${name}`
  }
}
