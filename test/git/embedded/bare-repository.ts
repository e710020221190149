// A bare repository that tests change with real git, and its state as the embedded server sees it.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { EmbeddedFreshness } from '../../../src/git/embedded/repository-state.js'
import type { GitProgram } from '../../../src/git/embedded/git-program.js'
import { findGit, gitEnvironment } from '../../../src/git/embedded/git-program.js'
import { RepositoryFolder } from '../../../src/git/embedded/repository-folder.js'
import type { RepositoryState } from '../../../src/protocol/backend.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'

export const APP = 'team/app' as RepositoryPath

/** A repository with two commits to point refs at. */
export type BareRepository = {
  readonly git: GitProgram
  readonly folder: RepositoryFolder
  /** Its folder. */
  readonly where: string
  readonly freshness: EmbeddedFreshness
  /** Runs git in it. @returns git's output */
  readonly run: (...args: string[]) => string
  /** Reads its state, and throws if there is none. */
  readonly state: () => Promise<RepositoryState>
  readonly one: string
  readonly two: string
}

/**
 * Makes a repository whose `main` is the first of two commits.
 *
 * @param reftableGit a git that knows reftable, for a repository that keeps its refs in a reftable
 */
export async function createBareRepository(
  t: Test,
  format: 'sha1' | 'sha256' = 'sha1',
  reftableGit?: string,
): Promise<BareRepository> {
  const git = await findGit(reftableGit)
  const folder = new RepositoryFolder(join(t.testdir({}), 'repos'))
  const where = folder.locate(APP)
  if (reftableGit === undefined) await folder.create(git, APP, format)
  else initReftable(git.path, where)
  const freshness = new EmbeddedFreshness(git, folder)
  const run = (...args: string[]) => runGit(git, '--git-dir', where, ...args)
  const [one, two] = commitTwice(run)
  const state = async (): Promise<RepositoryState> => {
    const found = await freshness.state(APP)
    if (found === undefined) throw new TypeError('the repository has no state')
    return found
  }
  return { git, folder, where, freshness, run, state, one, two }
}

/** Makes two commits of an empty tree, and points `main` to the first. */
export function commitTwice(run: (...args: string[]) => string): [string, string] {
  const tree = run('mktree').trim()
  const commit = (message: string, ...parents: string[]) =>
    run('commit-tree', tree, '-m', message, ...parents.flatMap((parent) => ['-p', parent])).trim()
  const one = commit('one')
  const two = commit('two', one)
  run('update-ref', 'refs/heads/main', one)
  return [one, two]
}

/** Makes an empty bare repository that keeps its refs in reftables. */
export function initReftable(git: string, where: string): void {
  const args = ['init', '--quiet', '--bare', '--template=', '--initial-branch=main', '--ref-format=reftable', where]
  execFileSync(git, args, { env: gitEnvironment() })
}

/** Runs git as a person. @returns git's output */
export function runGit(git: GitProgram, ...args: string[]): string {
  const person = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' }
  const env = { ...gitEnvironment(), ...person }
  return execFileSync(git.path, args, { env, input: '', encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
}
