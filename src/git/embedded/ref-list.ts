import type { RefList } from '../../protocol/backend.js'
import type { GitProgram } from './git-program.js'
import { gitEnvironment, inRepository } from './git-program.js'
import { readOutput } from './git-process.js'

// Some 800,000 refs.
const LONGEST_LIST = 64 * 1_048_576
const LINE = /^([0-9a-f]{40,64}) (refs\/.+)$/gm

/**
 * All refs of a repository. Tags are not peeled: that would read each tag's object, and no one asks for what a tag
 * points at.
 *
 * @param folder the bare repository
 * @returns `undefined` where git can't say, or has too much to say
 */
export async function listRefs(git: GitProgram, folder: string): Promise<RefList | undefined> {
  const args = [...inRepository(folder), 'for-each-ref', '--format=%(objectname) %(refname)']
  const command = { program: git.path, args, env: gitEnvironment() }
  const { bytes, failure } = await readOutput(git.start, command, undefined, LONGEST_LIST)
  // Latin-1 keeps every byte: names need not be UTF-8, and two of them must not become one.
  return failure === undefined ? readList(bytes.toString('latin1')) : undefined
}

function readList(text: string): RefList {
  const ids = new Map<string, string>()
  for (const [, id = '', name = ''] of text.matchAll(LINE)) ids.set(name, id)
  return { ids, tips: new Set(ids.values()) }
}
