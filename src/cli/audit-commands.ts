import type { Command } from 'commander'
import type { ChainHead } from '../domain/audit/chain.js'
import { formatHead, parseHead } from '../domain/audit/chain.js'
import { flawSentence } from '../domain/audit/flaw.js'
import { auditEntity } from '../domain/audit/audit-entity.js'
import type { AuditRow } from '../domain/audit/event.js'
import { AUDIT_ACTIONS, AUDIT_DECISIONS, isActionOrKind } from '../domain/audit/event.js'
import { actorInWords, subjectInWords } from '../domain/audit/words.js'
import { applyRetention, EVERYTHING_KEPT } from '../domain/audit/retention.js'
import type { AuditQuery } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { checkPatternLimits } from '../protocol/pattern-limits.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, requireId, withStore } from './context.js'
import { sinceOption } from './instant.js'

type ListOptions = {
  user?: string
  token?: string
  repo?: string
  action?: string
  decision?: string
  ip?: string
  since?: string
  until?: string
  limit: string
  follow?: true
  json?: true
}

const LOOK_EVERY = 500
const MAX_LIMIT = 100_000
const FOLLOWED_AT_ONCE = 1_000

/** `gitgate audit …`: what happened, and whether the trail of it is whole. */
export function addAuditCommands(program: Command, context: CliContext): void {
  const group = program.command('audit').description('what happened, and whether the trail of it is whole')

  addCommand(
    group,
    'list',
    'show the last rows of the trail',
    'gitgate audit list --user alice --action git.push --since 7d',
  )
    .option('--user <name>', 'who did it, in whose name, or whose account it was done to')
    .option('--token <id>', 'the token that did it, or that it was done to')
    .option('--repo <pattern>', "a repository; * stands for anything: 'team/*'")
    .option('--action <name>', 'such as git.push, or all that begin so: git')
    .option('--decision <word>', AUDIT_DECISIONS.join(', '))
    .option('--ip <address>', 'from where')
    .option('--since <when>', '2026-01-31, 2026-01-31T08:00:00Z, or how long ago: 12h, 30d')
    .option('--until <when>', 'before that instant')
    .option('--limit <number>', 'how many rows at most', '50')
    .option('--follow', 'go on with what happens from now on, until it is stopped; with --json a line a row')
    .addHelpText('after', `\nActions:\n${columns(AUDIT_ACTIONS)}`)
    .action((options: ListOptions) => withStore(context, (cli) => listRows(cli, options)))

  addCommand(
    group,
    'verify',
    'check every row against the one before it, and that the database holds what the rows say; names the first flaw',
    'gitgate audit verify --head "$(cat /mnt/elsewhere/audit-head)"',
  )
    .option('--head <id:hash>', 'a head that was kept elsewhere, which the trail must hold')
    .action(({ head, json }: { head?: string; json?: true }) => withStore(context, (cli) => verify(cli, head, json)))

  addCommand(
    group,
    'repair',
    'build what is derived from the log again, and write a new audit mark; an event says so. The log itself is not changed',
    'gitgate audit repair',
  ).action(({ json }: { json?: true }) =>
    withStore(context, async ({ store, output }) => {
      await store.repairAudit()
      const head = await store.audit.head()
      if (json === true) output.json(head)
      else output.answer(`The indexes of the log were built again, and the audit mark notes row ${head.id}.`)
    }),
  )

  addCommand(
    group,
    'head',
    'print the end of the trail, to be kept elsewhere: with it, verify also sees a trail that was written anew',
    'gitgate audit head > /mnt/elsewhere/audit-head',
  ).action(({ json }: { json?: true }) =>
    withStore(context, async ({ store, output }) => {
      const head = await store.audit.head()
      if (json === true) output.json(head)
      else output.answer(formatHead(head))
    }),
  )

  addCommand(
    group,
    'prune',
    'delete what the setting audit_retention no longer keeps, as the gate does each night',
    'gitgate audit prune --force',
  )
    .option('--force', 'all of it at once, by the clock alone: check first that the clock is right')
    .action((options: { force?: true; json?: true }) => withStore(context, (cli) => prune(cli, options)))
}

async function prune(cli: OpenCli, { force, json }: { force?: true; json?: true }): Promise<void> {
  const { store, output, clock } = cli
  const guard = force === true ? 'force' : { share: cli.config().auditPruneShare }
  const retained = await applyRetention(store.audit, (await cli.settings()).audit_retention, clock(), guard)
  if (json !== true) output.note(`${retained?.outcome ?? EVERYTHING_KEPT}.`)
  else
    output.json({
      deleted: retained?.deleted ?? 0,
      kept: (retained?.overShare ?? 0) + (retained?.unconfirmed ?? 0),
      confirmed_at: retained?.confirmedAt ?? null,
      outcome: retained?.outcome ?? EVERYTHING_KEPT,
    })
}

async function listRows(cli: OpenCli, options: ListOptions): Promise<void> {
  const { store, output, terminal } = cli
  const query = await queryOf(cli, options)
  const rows = (await store.audit.list(query)).toReversed()
  if (options.follow !== true) {
    if (options.json === true) output.json(rows.map(auditEntity))
    else output.table(HEAD, rows.map(cellsOf), 'No rows. With fewer options there may be some.')
    return
  }
  const show = (row: AuditRow): void =>
    output.answer(options.json === true ? JSON.stringify(auditEntity(row)) : cellsOf(row).join('  '))
  for (const row of rows) show(row)
  let after = rows.at(-1)?.id ?? (await store.audit.head()).id
  while (!terminal.signal.aborted) {
    await pause(terminal.signal)
    const more = await store.audit.list({ ...query, after, oldestFirst: true, limit: FOLLOWED_AT_ONCE })
    for (const row of more) show(row)
    after = more.at(-1)?.id ?? after
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, LOOK_EVERY)
    signal.addEventListener('abort', done)
  })
}

async function queryOf({ store, clock }: OpenCli, options: ListOptions): Promise<AuditQuery> {
  const { user, token, repo, ip, action, since, until } = options
  const decision = AUDIT_DECISIONS.find((word) => word === options.decision)
  if (options.decision !== undefined && decision === undefined)
    throw new GitgateError('usage', `--decision takes one of ${AUDIT_DECISIONS.join(', ')}`)
  if (action !== undefined && !isActionOrKind(action))
    throw new GitgateError('usage', `--action: there is no "${printable(action)}"; gitgate audit list --help names all`)
  if (repo !== undefined) checkPatternLimits('--repo', repo)
  const limit = /^\d+$/.test(options.limit) ? Number(options.limit) : 0
  if (limit < 1 || limit > MAX_LIMIT) throw new GitgateError('usage', `--limit takes a number from 1 to ${MAX_LIMIT}`)
  // Of an account that was deleted, the rows are still there.
  const username = user === undefined ? undefined : ((await store.accounts.findByUsername(user))?.username ?? user)
  return {
    limit,
    ...(username === undefined ? {} : { user: username }),
    ...(token === undefined ? {} : { tokens: [requireId(token)] }),
    ...(repo === undefined ? {} : { repository: repo }),
    ...(action === undefined ? {} : { action }),
    ...(decision === undefined ? {} : { decision }),
    ...(ip === undefined ? {} : { ip }),
    ...(since === undefined ? {} : { since: sinceOption('--since', since, clock()) }),
    ...(until === undefined ? {} : { until: sinceOption('--until', until, clock()) }),
  }
}

async function verify({ store, output, terminal }: OpenCli, text: string | undefined, json: true | undefined) {
  const anchor = text === undefined ? undefined : requireHead(text)
  const isWatched = terminal.stderr.isTTY === true
  const { rows, first, head, flaw } = await store.audit.verify(anchor, (count) => {
    if (isWatched) terminal.stderr.write(`\r${count} rows`)
  })
  if (isWatched) terminal.stderr.write('\r')
  if (json === true) output.json({ ok: flaw === undefined, rows, first: first.id + 1, head, flaw: flaw ?? null })
  if (flaw !== undefined) throw new GitgateError('conflict', flawSentence(flaw))
  if (json === true) return
  if (rows === 0) output.answer('The trail is empty.')
  else output.answer(`${rows} rows are as they were written: ${first.id + 1} to ${head.id}. Head: ${formatHead(head)}`)
}

function requireHead(text: string): ChainHead {
  const head = parseHead(text)
  if (head !== undefined) return head
  throw new GitgateError('usage', '--head takes what gitgate audit head has printed')
}

const HEAD = ['ID', 'TIME', 'WHO', 'ACTION', 'ON', 'DECISION', 'RULE', 'FROM']

function cellsOf(row: AuditRow): string[] {
  const { id, at, action, decision, rule, ip } = row
  return [
    String(id),
    at.toISOString(),
    actorInWords(row),
    action,
    subjectInWords(row),
    decision,
    rule ?? '-',
    ip ?? '-',
  ].map(printable)
}

function columns(names: readonly string[]): string {
  return names.map((name) => `  ${name}`).join('\n')
}
