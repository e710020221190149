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

// Each costs a git process of some 5 ms, since git has no command that reads several.
const MAX_GIT_READS = 500
// For more refs than this, git first lists those that exist, instead of reading each.
const LIST_THRESHOLD = 8
const MAX_LIST_BYTES = 64 * 1_048_576

/**
 * Resolves symbolic refs: a push to one changes its target. Only names whose files may be symbolic cost a git process.
 *
 * @param folder the bare repository
 * @param names ref names as bytes
 * @returns the target of each name, which is the name itself if it is not symbolic; `undefined` if that isn't known
 */
export async function followSymbolicRefs(
  git: GitProgram,
  folder: string,
  names: readonly Buffer[],
): Promise<RefTargets> {
  const inFiles = keepsRefsInFiles(folder)
  const mayBeSymbolic = await mapInSlices(
    names,
    // Git itself refuses invalid names.
    (name) => isRefName(name.toString()) && (!inFiles || isSymbolicFile(folder, name)),
  )
  const unsure = names.filter((_, index) => mayBeSymbolic[index])
  const plain = unsure.length > LIST_THRESHOLD ? await listPlainRefs(git, folder) : new Set<string>()
  let gitReads = 0
  const targets: (string | undefined)[] = []
  for (const [index, name] of names.entries()) {
    if (mayBeSymbolic[index] !== true || plain.has(name.toString('latin1'))) targets.push(name.toString())
    else targets.push(gitReads++ < MAX_GIT_READS ? await readSymbolicRef(git, folder, name) : undefined)
  }
  return targets
}

/**
 * Reads a symbolic ref, such as `HEAD`.
 *
 * @returns the ref at the end of the chain, or the name itself if it is not symbolic; `undefined` if git fails
 */
export async function readSymbolicRef(git: GitProgram, folder: string, name: Buffer): Promise<string | undefined> {
  // Node passes arguments as UTF-8 text.
  if (!isUtf8(name)) return undefined
  const args = [...inRepository(folder), 'symbolic-ref', '--quiet', '--', name.toString()]
  const { bytes, exitStatus } = await readOutput(git.start, { program: git.path, args, env: gitEnvironment() })
  if (exitStatus === 1) return name.toString()
  return exitStatus === 0 ? bytes.toString().replace(/\n$/, '') : undefined
}

/** The names, as Latin-1, of existing refs that are not symbolic. */
async function listPlainRefs(git: GitProgram, folder: string): Promise<ReadonlySet<string>> {
  const args = [...inRepository(folder), 'for-each-ref', '--format=%(symref) %(refname)']
  const command = { program: git.path, args, env: gitEnvironment() }
  const { bytes, failure } = await readOutput(git.start, command, undefined, MAX_LIST_BYTES)
  if (failure !== undefined) return new Set()
  const lines = bytes.toString('latin1').split('\n')
  return new Set(lines.filter((line) => line.startsWith(' ')).map((line) => line.slice(1)))
}

/** Whether a ref's file holds a symbolic ref, or is a symbolic link, which git reads as one. A packed ref has no file. */
function isSymbolicFile(folder: string, name: Buffer): boolean {
  const path = Buffer.concat([Buffer.from(`${folder}/`), name])
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined || stats.isDirectory()) return false
    return !stats.isFile() || readFileSync(path, 'latin1').startsWith('ref:')
  } catch (error) {
    // No such file, or a file in the place of a folder.
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return false
    // Git decides.
    return true
  }
}
