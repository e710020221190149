import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { flawSentence } from '../domain/audit/flaw.js'
import type { CliContext } from './context.js'
import { addCommand } from './context.js'
import { confirmDeletion } from './terminal-input.js'
import type { RestoreOutcome } from './dependencies.js'

type RestoreOptions = { withoutSecrets?: true; yes?: true; json?: true }

/** `gitgate restore`: put a backup in the place of the database. */
export function addRestoreCommand(program: Command, context: CliContext): void {
  addCommand(
    program,
    'restore <file>',
    'replace the database with a backup, while no gate runs; keeps the replaced database',
    'gitgate restore /backup/gitgate-2026-01-31.sqlite3',
  )
    .option(
      '--without-secrets',
      'if the key is lost: remove webhooks, and limit accounts with two-factor authentication to tokens',
    )
    .option('--yes', "don't ask for confirmation")
    .addHelpText('after', '  $ gitgate restore --without-secrets data/gitgate.sqlite3    # only the key was lost')
    .action((file: string, options: RestoreOptions) => restore(context, resolve(file), options))
}

async function restore(
  { dependencies, output, terminal, ...context }: CliContext,
  file: string,
  options: RestoreOptions,
) {
  const config = context.config()
  if (existsSync(config.data))
    await confirmDeletion(terminal, `Replace the database in ${config.data} with ${file}?`, options.yes === true)
  const outcome = await dependencies.restore(config, file, options.withoutSecrets === true)
  if (outcome.kind === 'edited')
    throw new GitgateError(
      'store',
      `${file} can't be trusted: ${flawSentence(outcome.flaw)}. Nothing was changed; try another backup`,
    )
  if (options.json === true) output.json(restoredEntity(file, outcome))
  else for (const line of report(file, outcome)) output.note(line)
}

type Restored = Extract<RestoreOutcome, { kind: 'restored' }>

function restoredEntity(file: string, { database, kept, head, replacedHead, forgotten }: Restored) {
  return {
    file,
    database,
    kept: kept ?? null,
    head,
    replaced_head: replacedHead ?? null,
    locked_accounts: forgotten?.locked ?? [],
    removed_webhooks: forgotten?.webhooks ?? [],
  }
}

function report(file: string, { database, kept, head, replacedHead, forgotten }: Restored): string[] {
  const lost = (replacedHead?.id ?? 0) - head.id
  return [
    `Restored ${database} from ${file}, up to event ${head.id} of its audit log.`,
    ...(kept === undefined ? [] : [`The replaced database is ${kept}; delete it when you no longer need it.`]),
    ...(lost > 0
      ? [`The backup lacks ${lost} or more later events. Repeat what was revoked or blocked since it was made.`]
      : []),
    ...(forgotten?.webhooks ?? []).map(
      (url) => `Removed the webhook ${printable(url)}; add it again: gitgate webhook add`,
    ),
    ...(forgotten?.locked ?? []).map(
      (name) => `${printable(name)} can use only tokens until you run: gitgate user 2fa disable ${printable(name)}`,
    ),
  ]
}
