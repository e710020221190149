import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Whether a test must be skipped for want of a program.
 *
 * @returns `false` where it is installed, else what to show as the reason; CI fails on any skip
 */
export function requireProgram(...names: readonly string[]): false | string {
  const missing = names.filter((name) => findProgram(name) === undefined)
  return missing.length === 0 ? false : `needs ${missing.join(', ')}`
}

/** A git that knows reftable (2.45 and newer), which `.ci/reftable-git` brings; the machine's own may be older. */
export const REFTABLE_GIT = process.env['GITGATE_REFTABLE_GIT']

/** Whether a test must be skipped for want of {@link REFTABLE_GIT}; as {@link requireProgram}. */
export function requireReftableGit(): false | string {
  return REFTABLE_GIT === undefined ? 'needs GITGATE_REFTABLE_GIT, a git that knows reftable' : false
}

/** The system's Python, which has the modules that Debian's packages bring. */
export const PYTHON = '/usr/bin/python3'

/** Whether a test must be skipped for want of a module of {@link PYTHON}; as {@link requireProgram}. */
export function requirePythonModule(name: string): false | string {
  const { status } = spawnSync(PYTHON, ['-c', `import ${name}`], { stdio: 'ignore' })
  return status === 0 ? false : `needs the Python module ${name}`
}

/** Where a program is: in `PATH`, or where Debian keeps servers, which is in no user's `PATH`. */
export function findProgram(name: string): string | undefined {
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
