import type { Command } from 'commander'
import { describeProtection, parseProtection } from '../domain/access/protection.js'
import { GitgateError } from '../core/errors.js'
import { fullRefPattern } from '../protocol/pattern.js'
import type { CliContext } from './context.js'
import { addCommand, withStore } from './context.js'

type JsonOption = { json?: true }
type Levels = { push: string; force: string; delete: string }

/** `gitgate protect …`: protected refs. */
export function addProtectCommands(program: Command, context: CliContext): void {
  const group = program.command('protect').description('restrict who can change branches and tags')

  addCommand(
    group,
    'add <pattern> <ref>',
    'protect refs in matching repositories, for every account and token',
    "gitgate protect add 'team/**' main --push admin",
  )
    .option('--push <level>', 'who can create and update: write, admin or nobody', 'admin')
    .option('--force <level>', 'who can force-push', 'nobody')
    .option('--delete <level>', 'who can delete', 'nobody')
    .action((pattern: string, ref: string, { json, ...levels }: JsonOption & Levels) =>
      withStore(context, async (cli) => {
        const protection = await cli.store.protections.put(
          cli.auditContext,
          parseProtection(pattern, ref, levels),
          cli.clock(),
        )
        if (json === true) {
          cli.output.json(protection)
          return
        }
        cli.output.note(`${describeProtection(protection)}.`)
      }),
    )

  addCommand(group, 'list', 'list protected refs', 'gitgate protect list').action(({ json }: JsonOption) =>
    withStore(context, async ({ store, output }) => {
      const protections = await store.protections.list()
      if (json === true) {
        output.json(protections)
        return
      }
      output.table(
        ['RULE', 'REPOSITORIES', 'REF', 'PUSH', 'FORCE', 'DELETE'],
        protections.map((one) => [String(one.id), one.repositories, one.refs, one.push, one.force, one.delete]),
        "No protected refs: everyone who can push can change all refs. Protect one: gitgate protect add '**' main",
      )
    }),
  )

  addCommand(
    group,
    'remove <pattern> <ref>',
    'remove a protection; takes effect immediately',
    "gitgate protect remove 'team/**' main",
  ).action((pattern: string, ref: string, { json }: JsonOption) =>
    withStore(context, async ({ store, auditContext, output }) => {
      const refs = fullRefPattern(ref)
      if (!(await store.protections.remove(auditContext, pattern, refs))) {
        throw new GitgateError(
          'not-found',
          `${refs} of ${pattern} is not protected; to list protections: gitgate protect list`,
        )
      }
      if (json === true) {
        output.json({ repositories: pattern, refs, removed: true })
        return
      }
      output.note(`Removed the protection of ${refs} in ${pattern}.`)
    }),
  )
}
