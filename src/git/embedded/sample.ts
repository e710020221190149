import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { GitProgram } from './git-program.js'
import { askGit, inRepository } from './git-program.js'
import type { RepositoryFolder } from './repository-folder.js'

/**
 * Makes a repository with one commit, for a first clone.
 *
 * @param readme the text of its `README.md`
 * @throws GitgateError `conflict` when something is in the way
 */
export async function createSample(
  git: GitProgram,
  folder: RepositoryFolder,
  path: RepositoryPath,
  readme: string,
): Promise<void> {
  await folder.create(git, path, 'sha1')
  const inSample = inRepository(folder.locate(path))
  const ask = async (args: readonly string[], input?: string): Promise<string> =>
    (await askGit(git, [...inSample, ...args], input)).trim()
  const blob = await ask(['hash-object', '-w', '--stdin'], readme)
  const tree = await ask(['mktree'], `100644 blob ${blob}\tREADME.md\n`)
  const commit = await ask(['commit-tree', tree, '-m', 'Say hello'])
  await ask(['update-ref', 'refs/heads/main', commit])
}
