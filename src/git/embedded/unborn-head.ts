import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'
import type { GitProgram } from './git-program.js'
import { askGit, inRepository } from './git-program.js'
import { keepsRefsInFiles } from './ref-list.js'
import { readSymbolicRef } from './symbolic-ref.js'

const BRANCHES = 'refs/heads/'

/**
 * Lists the branches of a repository whose HEAD is unborn: it names a branch that doesn't exist.
 *
 * @returns `undefined` if HEAD is born, as in nearly every push; with refs in files, that costs reading two small ones
 */
export async function branchesBesideUnbornHead(git: GitProgram, folder: string): Promise<string[] | undefined> {
  const inFiles = keepsRefsInFiles(folder)
  const head = inFiles ? readHead(folder) : await readSymbolicRef(git, folder, Buffer.from('HEAD'))
  if (head?.startsWith(BRANCHES) !== true) return undefined
  const isBorn = inFiles ? isRef(folder, head) : (await listBranches(git, folder, head)).includes(head)
  return isBorn ? undefined : await listBranches(git, folder)
}

/**
 * Points an unborn HEAD to a branch that a push has just created, so that a clone checks it out: a repository created for `main` may
 * get a `master`.
 *
 * @param before the result of {@link branchesBesideUnbornHead} before the push
 */
export async function adoptFirstBranch(git: GitProgram, folder: string, before: readonly string[]): Promise<void> {
  if ((await branchesBesideUnbornHead(git, folder)) === undefined) return
  const created = (await listBranches(git, folder)).filter((branch) => !before.includes(branch))
  const chosen = created.find((branch) => branch === `${BRANCHES}master`) ?? created[0]
  if (chosen !== undefined) await askGit(git, [...inRepository(folder), 'symbolic-ref', 'HEAD', chosen])
}

/** @param prefix a ref, or the folder of several. It begins with `refs/`, so git can't take it for a flag. */
async function listBranches(git: GitProgram, folder: string, prefix = BRANCHES): Promise<string[]> {
  const text = await askGit(git, [...inRepository(folder), 'for-each-ref', '--format=%(refname)', prefix])
  return text.split('\n').filter((line) => line !== '')
}

function readHead(folder: string): string | undefined {
  return /^ref: (.+)$/.exec(readText(join(folder, 'HEAD')).trim())?.[1]
}

function isRef(folder: string, ref: string): boolean {
  return readText(join(folder, ref)) !== '' || readText(join(folder, 'packed-refs')).includes(` ${ref}\n`)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return ''
    throw error
  }
}
