import { appendFile } from 'node:fs/promises'
import { auditEntity } from '../audit/entity.js'
import type { AuditTarget } from './follower.js'
import { SyslogTarget } from './syslog.js'

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
