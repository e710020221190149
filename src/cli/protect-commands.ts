import type { Command } from 'commander'
import { describeProtection, parseProtection } from '../domain/access/protection.js'
import { GitgateError } from '../core/errors.js'
import { fullRefPattern } from '../protocol/ref-pattern.js'
import type { CliContext } from './context.js'
import { addCommand, withStore } from './context.js'

type JsonOption = { json?: true }
type Levels = { push: string; force: string; delete: string }

/** `gitgate protect …`: refs that not everybody who pushes may change. */
export function addProtectCommands(program: Command, context: CliContext): void {
  const group = program.command('protect').description('refs that not everybody who pushes may change')

  addCommand(
    group,
    'add <pattern> <ref>',
    'protect refs in the repositories of a pattern, for every account and token',
    "gitgate protect add 'team/**' main --push admin",
  )
    .option('--push <level>', 'who may create and update: write (whoever may push), admin or nobody', 'admin')
    .option('--force <level>', 'who may update by what is no fast-forward, too', 'nobody')
    .option('--delete <level>', 'who may delete', 'nobody')
    .action((pattern: string, ref: string, { json, ...levels }: JsonOption & Levels) =>
      withStore(context, async (cli) => {
        const protection = await cli.store.protections.put(parseProtection(pattern, ref, levels), cli.clock())
        if (json === true) {
          cli.output.json(protection)
          return
        }
        cli.output.note(`${describeProtection(protection)}.`)
      }),
    )

  addCommand(group, 'list', 'list all protected refs', 'gitgate protect list').action(({ json }: JsonOption) =>
    withStore(context, async ({ store, output }) => {
      const protections = await store.protections.list()
      if (json === true) {
        output.json(protections)
        return
      }
      output.table(
        ['RULE', 'REPOSITORIES', 'REF', 'PUSH', 'FORCE', 'DELETE'],
        protections.map((one) => [String(one.id), one.repositories, one.refs, one.push, one.force, one.delete]),
        "No protected refs: whoever may push may change all of them. Protect one: gitgate protect add '**' main",
      )
    }),
  )

  addCommand(
    group,
    'remove <pattern> <ref>',
    'end a protection, from the next push on',
    "gitgate protect remove 'team/**' main",
  ).action((pattern: string, ref: string, { json }: JsonOption) =>
    withStore(context, async ({ store, output }) => {
      const refs = fullRefPattern(ref)
      if (!(await store.protections.remove(pattern, refs))) {
        throw new GitgateError('not-found', `${refs} of ${pattern} is not protected; gitgate protect list shows all`)
      }
      if (json === true) {
        output.json({ repositories: pattern, refs, removed: true })
        return
      }
      output.note(`${refs} of ${pattern} is not protected any more.`)
    }),
  )
}
