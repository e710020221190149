import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { auditEntity } from '../domain/audit/render-event.js'
import type { AuditTarget } from './follower.js'
import { SyslogTarget } from './syslog.js'

/** Opens a target. @param location a file's path, or the URL of a syslog server */
export function openTarget(location: string | URL): AuditTarget {
  return typeof location === 'string' ? fileTarget(location) : new SyslogTarget(location)
}

// Opening a FIFO without a reader would block forever, and with it the gate's shutdown. With O_NONBLOCK it fails.
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

/** A file of JSON lines, opened for each write so that it can be rotated at any time. */
function fileTarget(path: string): AuditTarget {
  return {
    name: path,
    async write(rows) {
      const lines = rows.map((row) => `${JSON.stringify(auditEntity(row))}\n`).join('')
      const file = await open(path, APPEND, 0o600)
      try {
        await file.appendFile((await endsWithinLine(path, file)) ? `\n${lines}` : lines)
      } finally {
        await file.close()
      }
    },
    close: () => undefined,
  }
}

/** Whether the file's last line was cut off, for example by a full disk, so that the next event must start a new line. */
async function endsWithinLine(path: string, file: FileHandle): Promise<boolean> {
  const stats = await file.stat()
  if (!stats.isFile() || stats.size === 0) return false
  const reader = await open(path)
  try {
    const { buffer } = await reader.read(Buffer.alloc(1), 0, 1, stats.size - 1)
    return buffer.toString() !== '\n'
  } finally {
    await reader.close()
  }
}
