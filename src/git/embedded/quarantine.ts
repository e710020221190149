import { readdirSync, readlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'

// receive-pack keeps a push in tmp_objdir-incoming-XXXXXX, beside the objects, until it is checked.
const QUARANTINE_PREFIX = 'tmp_objdir-'

/**
 * Removes the quarantines that killed pushes have left in a repository. Git removes its own when its input ends, but not when it is
 * killed (measured).
 *
 * @param folder the bare repository
 * @returns the number of removed quarantines; `undefined` while git runs in the repository, since one of them may be in use
 */
export async function removeQuarantines(folder: string): Promise<number | undefined> {
  const objects = join(folder, 'objects')
  const quarantines = namesIn(objects).filter((name) => name.startsWith(QUARANTINE_PREFIX))
  if (quarantines.length === 0) return 0
  if (isGitRunningIn(folder)) return undefined
  for (const name of quarantines) await rm(join(objects, name), { recursive: true, force: true })
  return quarantines.length
}

/** Whether a process has the repository as its working directory. receive-pack goes there first. */
function isGitRunningIn(folder: string): boolean {
  const processes = namesIn('/proc').filter((name) => /^\d+$/.test(name))
  // Where processes can't be seen, nothing is removed.
  if (processes.length === 0) return true
  return processes.some((name) => {
    try {
      return readlinkSync(`/proc/${name}/cwd`) === folder
    } catch {
      // It has just exited, or belongs to another user, who could not have pushed here.
      return false
    }
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
    throw error
  }
}
