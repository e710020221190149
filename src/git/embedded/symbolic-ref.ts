import { lstatSync, readFileSync } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { hasSystemCode } from '../../core/errors.js'
import { mapInSlices } from '../../core/event-loop.js'
import type { RefTargets } from '../../protocol/backend.js'
import { isRefName } from '../../protocol/ref-name.js'
import type { GitProgram } from './git-program.js'
import { gitEnvironment, inRepository } from './git-program.js'
import { readOutput } from './git-process.js'
import { keepsRefsInFiles } from './ref-list.js'

// Each costs a process, some 5 ms; git has no command that reads several.
const MAX_ASKED = 500
// So few are asked about one by one; for more, git first lists the refs that are there.
const LIST_THRESHOLD = 8
const MAX_LIST_BYTES = 64 * 1_048_576

/**
 * The refs that names stand for where they are symbolic: what is done to the one is done to the other. Where a file shows
 * that a name is not symbolic, git isn't asked.
 *
 * @param folder the bare repository
 * @param names the bytes of the refs' names
 * @returns for each name the ref that it stands for, itself where it is not symbolic; `undefined` where that isn't known
 */
export async function followSymbolicRefs(
  git: GitProgram,
  folder: string,
  names: readonly Buffer[],
): Promise<RefTargets> {
  const inFiles = keepsRefsInFiles(folder)
  const mayBeSymbolic = await mapInSlices(
    names,
    // Git itself refuses what is no name.
    (name) => isRefName(name.toString()) && (!inFiles || isSymbolicFile(folder, name)),
  )
  const unsure = names.filter((_, index) => mayBeSymbolic[index])
  const plain = unsure.length > LIST_THRESHOLD ? await listPlainRefs(git, folder) : new Set<string>()
  let asked = 0
  const targets: (string | undefined)[] = []
  for (const [index, name] of names.entries()) {
    if (mayBeSymbolic[index] !== true || plain.has(name.toString('latin1'))) targets.push(name.toString())
    else targets.push(asked++ < MAX_ASKED ? await readSymbolicRef(git, folder, name) : undefined)
  }
  return targets
}

/**
 * Reads a symbolic ref, such as `HEAD`.
 *
 * @returns the ref at the end of the chain, the name itself where it is not symbolic, `undefined` where git can't say
 */
export async function readSymbolicRef(git: GitProgram, folder: string, name: Buffer): Promise<string | undefined> {
  // Arguments of a process are text here.
  if (!isUtf8(name)) return undefined
  const args = [...inRepository(folder), 'symbolic-ref', '--quiet', '--', name.toString()]
  const { bytes, exitStatus } = await readOutput(git.start, { program: git.path, args, env: gitEnvironment() })
  if (exitStatus === 1) return name.toString()
  return exitStatus === 0 ? bytes.toString().replace(/\n$/, '') : undefined
}

/** The names, as Latin-1, of refs that are there and not symbolic. */
async function listPlainRefs(git: GitProgram, folder: string): Promise<ReadonlySet<string>> {
  const args = [...inRepository(folder), 'for-each-ref', '--format=%(symref) %(refname)']
  const command = { program: git.path, args, env: gitEnvironment() }
  const { bytes, failure } = await readOutput(git.start, command, undefined, MAX_LIST_BYTES)
  if (failure !== undefined) return new Set()
  const lines = bytes.toString('latin1').split('\n')
  return new Set(lines.filter((line) => line.startsWith(' ')).map((line) => line.slice(1)))
}

/** Whether the file of a ref is a symbolic one, or a symbolic link, which git takes for one. A packed ref has no file. */
function isSymbolicFile(folder: string, name: Buffer): boolean {
  const path = Buffer.concat([Buffer.from(`${folder}/`), name])
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined || stats.isDirectory()) return false
    return !stats.isFile() || readFileSync(path, 'latin1').startsWith('ref:')
  } catch (error) {
    // A file where a folder should be, or gone since.
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return false
    // Git may know better.
    return true
  }
}
