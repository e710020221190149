import type { Command } from 'commander'
import type { ChainHead } from '../domain/audit/chain.js'
import { formatHead, parseHead } from '../domain/audit/chain.js'
import { flawSentence } from '../domain/audit/flaw.js'
import { actorInWords, auditEntity, decisionInWords, subjectInWords } from '../domain/audit/render-event.js'
import type { AuditRow } from '../domain/audit/event.js'
import { AUDIT_ACTIONS, AUDIT_DECISIONS, isActionOrKind, GATE_CONTEXT } from '../domain/audit/event.js'
import { applyRetention, EVERYTHING_KEPT } from '../domain/audit/retention.js'
import type { AuditQuery } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { checkPatternLimits } from '../protocol/pattern.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, parseTimeOption, requireId, timeFormatter, withStore, WIDE_OPTION } from './context.js'

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
  wide?: true
  json?: true
}

const POLL_INTERVAL_MS = 500
const MAX_EVENTS = 100_000
const FOLLOW_BATCH_SIZE = 1_000
const DECISIONS = AUDIT_DECISIONS.map(decisionInWords).join(', ')

/** `gitgate audit …`: reads, verifies and prunes the audit log. */
export function addAuditCommands(program: Command, context: CliContext): void {
  const group = program.command('audit').description('read and verify the audit log')

  addCommand(group, 'list', 'show the latest events', 'gitgate audit list --user alice --action git.push --since 7d')
    .option(...WIDE_OPTION)
    .option('--user <name>', 'events by this user, on their behalf, or about their account')
    .option('--token <id>', 'events by or about this token')
    .option('--repo <pattern>', "events about these repositories; * matches anything: 'team/*'")
    .option('--action <name>', 'one action, such as git.push, or a group of them, such as git')
    .option('--decision <word>', DECISIONS)
    .option('--ip <address>', 'events from this address')
    .option('--since <when>', 'start: 2026-01-31, 2026-01-31T08:00:00Z, or a time ago: 12h, 30d')
    .option('--until <when>', 'end, in the same forms')
    .option('--limit <number>', 'maximum number of events', '50')
    .option('--follow', 'keep running and print new events with exact times; with --json, one line each')
    .addHelpText('after', `\nActions:\n${columns(AUDIT_ACTIONS)}`)
    .action((options: ListOptions) => withStore(context, (cli) => listRows(cli, options)))

  addCommand(
    group,
    'verify',
    'check the hash chain, and the database against the events; reports the first flaw',
    'gitgate audit verify --head "$(cat /mnt/elsewhere/audit-head)"',
  )
    .option('--head <id:hash>', 'a checkpoint saved earlier, which the log must contain')
    .action(({ head, json }: { head?: string; json?: true }) => withStore(context, (cli) => verify(cli, head, json)))

  addCommand(
    group,
    'repair',
    'rebuild the indexes of the log and its checkpoint file, and record that as an event; the events stay as they are',
    'gitgate audit repair',
  ).action(({ json }: { json?: true }) =>
    withStore(context, async ({ store, auditContext, output }) => {
      await store.audit.repair(auditContext)
      const head = await store.audit.head()
      if (json === true) output.json(head)
      else output.answer(`Rebuilt the indexes of the log; the checkpoint file is at event ${head.id}.`)
    }),
  )

  addCommand(
    group,
    'head',
    'print a checkpoint to save elsewhere; with it, verify also detects a rewritten log',
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
    'delete the events that audit_retention no longer keeps, without waiting for the nightly job',
    'gitgate audit prune --force',
  )
    .option('--force', 'trust the clock and delete all of them at once; check the clock first')
    .action((options: { force?: true; json?: true }) => withStore(context, (cli) => prune(cli, options)))
}

async function prune(cli: OpenCli, { force, json }: { force?: true; json?: true }): Promise<void> {
  const { store, output, clock } = cli
  // Without --force it does what the nightly job does.
  const context = force === true ? cli.auditContext : GATE_CONTEXT
  const guard = force === true ? 'force' : { share: cli.config().auditPruneShare }
  const retained = await applyRetention(store.audit, context, (await cli.settings()).audit_retention, clock(), guard)
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
    const formatTime = timeFormatter(cli, options.wide)
    if (options.json === true) output.json(rows.map(auditEntity))
    else
      output.table(
        COLUMNS,
        rows.map((row) => cellsOf(row, formatTime)),
        'No events match.',
      )
    return
  }
  const show = (row: AuditRow): void =>
    output.answer(
      options.json === true ? JSON.stringify(auditEntity(row)) : cellsOf(row, timeFormatter(cli, true)).join('  '),
    )
  for (const row of rows) show(row)
  let after = rows.at(-1)?.id ?? (await store.audit.head()).id
  while (!terminal.signal.aborted) {
    await pause(terminal.signal)
    const more = await store.audit.list({ ...query, after, oldestFirst: true, limit: FOLLOW_BATCH_SIZE })
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
    const timer = setTimeout(done, POLL_INTERVAL_MS)
    signal.addEventListener('abort', done)
  })
}

async function queryOf({ store, clock }: OpenCli, options: ListOptions): Promise<AuditQuery> {
  const { user, token, repo, ip, action, since, until } = options
  const decision = AUDIT_DECISIONS.find(
    (word) => word === options.decision || decisionInWords(word) === options.decision,
  )
  if (options.decision !== undefined && decision === undefined)
    throw new GitgateError('usage', `--decision takes one of ${DECISIONS}`)
  if (action !== undefined && !isActionOrKind(action))
    throw new GitgateError(
      'usage',
      `--action: there is no "${printable(action)}"; for the list: gitgate audit list --help`,
    )
  if (repo !== undefined) checkPatternLimits('--repo', repo)
  const limit = /^\d+$/.test(options.limit) ? Number(options.limit) : 0
  if (limit < 1 || limit > MAX_EVENTS) throw new GitgateError('usage', `--limit takes a number from 1 to ${MAX_EVENTS}`)
  // The events of a deleted account remain.
  const username = user === undefined ? undefined : ((await store.accounts.findByUsername(user))?.username ?? user)
  return {
    limit,
    ...(username === undefined ? {} : { user: username }),
    ...(token === undefined ? {} : { tokens: [requireId(token)] }),
    ...(repo === undefined ? {} : { repository: repo }),
    ...(action === undefined ? {} : { action }),
    ...(decision === undefined ? {} : { decision }),
    ...(ip === undefined ? {} : { ip }),
    ...(since === undefined ? {} : { since: parseTimeOption('--since', since, clock()) }),
    ...(until === undefined ? {} : { until: parseTimeOption('--until', until, clock()) }),
  }
}

async function verify({ store, output, terminal }: OpenCli, text: string | undefined, json: true | undefined) {
  const anchor = text === undefined ? undefined : requireHead(text)
  const isWatched = terminal.stderr.isTTY === true
  const { rows, first, head, flaw } = await store.audit.verify(anchor, (count) => {
    if (isWatched) terminal.stderr.write(`\r${count} events`)
  })
  if (isWatched) terminal.stderr.write('\r')
  if (json === true) output.json({ ok: flaw === undefined, rows, first: first.id + 1, head, flaw: flaw ?? null })
  if (flaw !== undefined) throw new GitgateError('conflict', flawSentence(flaw))
  if (json === true) return
  if (rows === 0) output.answer('The audit log is empty.')
  else
    output.answer(
      `${rows === 1 ? '1 event is' : `${rows} events are`} intact: ${first.id + 1} to ${head.id}. Checkpoint: ${formatHead(head)}`,
    )
}

function requireHead(text: string): ChainHead {
  const head = parseHead(text)
  if (head !== undefined) return head
  throw new GitgateError('usage', '--head takes a checkpoint as printed by gitgate audit head')
}

const COLUMNS = ['ID', 'TIME', 'ACTOR', 'ACTION', 'TARGET', 'DECISION', 'RULE', 'ADDRESS']

function cellsOf(row: AuditRow, formatTime: (instant: Date) => string): string[] {
  const { id, at, action, decision, rule, ip } = row
  return [
    String(id),
    formatTime(at),
    actorInWords(row),
    action,
    subjectInWords(row),
    decisionInWords(decision),
    rule ?? '-',
    ip ?? '-',
  ].map(printable)
}

function columns(names: readonly string[]): string {
  return names.map((name) => `  ${name}`).join('\n')
}
