import { appendFile } from 'node:fs/promises'
import type { AuditRow } from '../audit/event.js'
import { auditEntity } from '../audit/entity.js'
import { SyslogTarget } from './syslog.js'

/** Where the rows of the trail are also told, as JSON. */
export type AuditTarget = {
  /** Names it, and nothing else does. */
  readonly name: string
  /** Tells rows, in their order. @throws when that failed; some may have arrived */
  write(rows: readonly AuditRow[]): Promise<void>
  close(): void
}

/** Opens a target. @param place a file's path, or the URL of a syslog server */
export function openTarget(place: string | URL): AuditTarget {
  return typeof place === 'string' ? fileTarget(place) : new SyslogTarget(place)
}

/** A file of JSON lines. It is opened for each write, so that it can be rotated at any time. */
function fileTarget(path: string): AuditTarget {
  return {
    name: path,
    async write(rows) {
      await appendFile(path, rows.map((row) => `${JSON.stringify(auditEntity(row))}\n`).join(''), { mode: 0o600 })
    },
    close: () => undefined,
  }
}
