import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Whether a test must be skipped for want of a program.
 *
 * @returns `false` where it is installed, else what to show as the reason; CI fails on any skip
 */
export function requireProgram(...names: readonly string[]): false | string {
  const missing = names.filter((name) => find(name) === undefined)
  return missing.length === 0 ? false : `needs ${missing.join(', ')}`
}

/** Where a program is: in `PATH`, or where Debian keeps servers. */
function find(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/lib/git-core']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
