import { readdirSync, readlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'

// Where receive-pack keeps a push until it is checked: tmp_objdir-incoming-XXXXXX beside the objects.
const QUARANTINE = 'tmp_objdir-'

/**
 * Removes what killed pushes have left in a repository. Git does so itself when its input ends, but not when it is killed
 * (measured).
 *
 * @param folder the bare repository
 * @returns how many were removed; none while a git works in the repository, since one of them may be its own
 */
export async function removeLeftovers(folder: string): Promise<number> {
  const objects = join(folder, 'objects')
  const left = namesIn(objects).filter((name) => name.startsWith(QUARANTINE))
  if (left.length === 0 || isGitAtWork(folder)) return 0
  for (const name of left) await rm(join(objects, name), { recursive: true, force: true })
  return left.length
}

/** Whether a process has the repository as its working directory, which is where receive-pack goes first. */
function isGitAtWork(folder: string): boolean {
  const processes = namesIn('/proc').filter((name) => /^\d+$/.test(name))
  // Where processes can't be seen, nothing is removed.
  if (processes.length === 0) return true
  return processes.some((name) => {
    try {
      return readlinkSync(`/proc/${name}/cwd`) === folder
    } catch {
      // Ended just now, or another user's, who could not have pushed here.
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
