import type { Command } from 'commander'
import { GitgateError } from '../core/errors.js'
import { requireRepositoryPath } from '../protocol/repository-path.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, openRepositories, withStore } from './context.js'
import { confirmDeletion } from './terminal-input.js'
import type { RepositoryChange } from './dependencies.js'

type RepoOptions = { repos?: string; json?: true }

/** `gitgate repo …`: the repositories of the embedded server. */
export function addRepoCommands(program: Command, context: CliContext): void {
  const group = program.command('repo').description('manage the repositories of the embedded server')
  const add = (usage: string, summary: string, example: string): Command =>
    addCommand(group, usage, summary, example).option(
      '--repos <folder>',
      'repository folder (default: the one that `serve` used last)',
    )

  add('create <path>', 'create an empty repository', 'gitgate repo create team/app')
    .option('--object-format <format>', 'sha1 or sha256', 'sha1')
    .action((path: string, options: RepoOptions & { objectFormat: string }) =>
      withStore(context, async (cli) => {
        const format = options.objectFormat
        if (format !== 'sha1' && format !== 'sha256')
          throw new GitgateError('usage', '--object-format takes sha1 or sha256')
        const repository = requireRepositoryPath(path)
        const repositories = await openRepositories(cli, options.repos)
        await withAuditEvent(cli, { action: 'repository.created', repository }, () =>
          repositories.create(repository, format),
        )
        if (options.json === true) {
          cli.output.json({ path: repository, object_format: format })
          return
        }
        cli.output.note(`Created ${repository} in ${repositories.root}.`)
      }),
    )

  add('delete <path>', 'delete a repository permanently', 'gitgate repo delete team/app --yes')
    .option('--yes', "don't ask")
    .action((path: string, options: RepoOptions & { yes?: true }) =>
      withStore(context, async (cli) => {
        const repository = requireRepositoryPath(path)
        const repositories = await openRepositories(cli, options.repos)
        if (!repositories.has(repository))
          throw new GitgateError('not-found', `there is no repository ${repository} in ${repositories.root}`)
        await confirmDeletion(cli.terminal, `Delete ${repository} and everything in it?`, options.yes === true)
        await withAuditEvent(cli, { action: 'repository.deleted', repository }, () => repositories.remove(repository))
        if (options.json === true) {
          cli.output.json({ path: repository, deleted: true })
          return
        }
        cli.output.note(`Deleted ${repository}.`)
      }),
    )

  add(
    'rename <path> <new>',
    'rename a repository; grants refer to paths, so check them too',
    'gitgate repo rename team/app team/application',
  ).action((path: string, to: string, options: RepoOptions) =>
    withStore(context, async (cli) => {
      const [from, target] = [requireRepositoryPath(path), requireRepositoryPath(to)]
      const repositories = await openRepositories(cli, options.repos)
      await withAuditEvent(cli, { action: 'repository.renamed', repository: target, details: { from } }, () =>
        repositories.rename(from, target),
      )
      if (options.json === true) {
        cli.output.json({ path: target, previous_path: from })
        return
      }
      cli.output.note(`Renamed ${from} to ${target}.`)
    }),
  )

  add('list', 'list repositories', 'gitgate repo list').action((options: RepoOptions) =>
    withStore(context, async (cli) => {
      const repositories = await openRepositories(cli, options.repos)
      const paths = repositories.list()
      if (options.json === true) {
        cli.output.json(paths.map((path) => ({ path })))
        return
      }
      cli.output.table(
        ['PATH'],
        paths.map((path) => [path]),
        `No repositories in ${repositories.root}. Create one: gitgate repo create team/app`,
      )
    }),
  )
}

/** Records the audit event first: a change that can't be recorded must not happen. */
async function withAuditEvent(
  { store, auditContext }: OpenCli,
  change: RepositoryChange,
  act: () => Promise<void>,
): Promise<void> {
  await store.note(auditContext, change)
  try {
    await act()
  } catch (error) {
    await store.note(auditContext, { ...change, decision: 'failed' })
    throw error
  }
}
