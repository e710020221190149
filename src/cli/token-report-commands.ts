import type { Command } from 'commander'
import { auditEntity } from '../domain/audit/render-event.js'
import type { TokenReport } from '../domain/audit/report.js'
import { reportOn } from '../domain/audit/report.js'
import { adviseOn } from '../domain/access/advise.js'
import { subjectsOf } from '../domain/access/grant.js'
import { AccessibleRepositories } from '../domain/access/accessible-repositories.js'
import { GitgateError } from '../core/errors.js'
import type { Advice } from '../domain/policies/advice.js'
import { printable } from '../core/printable.js'
import { formatSize } from '../domain/tokens/budget.js'
import { digestSecret } from '../domain/tokens/token-secret.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { CliContext, OpenCli, WideOption } from './context.js'
import {
  addCommand,
  isBeforeUpstream,
  openRepositories,
  parseTimeOption,
  requireId,
  timeFormatter,
  withStore,
  WIDE_OPTION,
} from './context.js'
import { readSecret } from './terminal-input.js'
import { requireOwner, requireToken, showToken } from './show-token.js'

type ReportOptions = WideOption & { since?: string; json?: true }

/** `gitgate token inspect` and `gitgate token report`: what a token is, and what was done with it. */
export function addTokenReportCommands(group: Command, context: CliContext): void {
  addCommand(
    group,
    'inspect',
    'show the owner and access of the token on standard input, with advice',
    'printf %s "$TOKEN" | gitgate token inspect',
  )
    .option(...WIDE_OPTION)
    .action((options: WideOption & { json?: true }) =>
      withStore(context, async (cli) => {
        const token = await cli.store.tokens.findByDigest(digestSecret(await readSecret(cli.terminal, 'token')))
        if (token === undefined)
          throw new GitgateError(
            'not-found',
            "this gate doesn't know the token; it may have been deleted with its account",
          )
        await showToken(cli, token, options, await advised(cli, token))
      }),
    )

  addCommand(
    group,
    'report <id>',
    'show everything done with a token, for example after a leak',
    'gitgate token report 7 --since 30d',
  )
    .option(...WIDE_OPTION)
    .option(
      '--since <when>',
      'start: 2026-01-31, 2026-01-31T08:00:00Z, or a time ago: 12h, 30d (default: when the token was created)',
    )
    .action((id: string, options: ReportOptions) =>
      withStore(context, async (cli) => {
        const token = await requireReported(cli, id)
        const since =
          options.since === undefined ? token.createdAt : parseTimeOption('--since', options.since, cli.clock())
        const report = await reportOn(cli.store.audit, await cli.store.tokens.lineage(token.id), since)
        if (options.json === true) cli.output.json(entityOf(token, since, report))
        else show(cli, token, since, report, timeFormatter(cli, options.wide))
      }),
    )
}

/** The token of a report. If it was deleted with its account, the audit log still has this much. */
type Reported = Pick<PersonalAccessToken, 'id' | 'name' | 'createdAt'> & {
  readonly owner: string
}

async function requireReported(cli: OpenCli, id: string): Promise<Reported> {
  const number = requireId(id)
  const token = await cli.store.tokens.find(number)
  if (token !== undefined) return { ...token, owner: (await requireOwner(cli, token)).username }
  const rows = await cli.store.audit.list({ tokens: [number], limit: 1, oldestFirst: true })
  const [first] = rows
  if (first === undefined) return await requireToken(cli, id).then((found) => ({ ...found, owner: '?' }))
  const { name, owner } = first.details ?? {}
  const text = (value: unknown): string => (typeof value === 'string' ? value.replace(/^user:/, '') : '?')
  return { id: number, name: text(name), createdAt: first.at, owner: text(owner) }
}

async function advised(cli: OpenCli, token: PersonalAccessToken): Promise<Advice[]> {
  const { store } = cli
  const now = cli.clock()
  const owner = await requireOwner(cli, token)
  const accessible = (await isBeforeUpstream(cli))
    ? undefined
    : new AccessibleRepositories(
        (await openRepositories(cli, undefined)).list(),
        await store.grants.listFor(subjectsOf(owner)),
      ).count(owner.username, token.restrictions)
  return await adviseOn(token, { audit: store.audit, accessible, knownSince: (await store.audit.begin()) ?? now }, now)
}

function show(
  cli: OpenCli,
  token: Reported,
  since: Date,
  report: TokenReport,
  formatTime: (instant: Date) => string,
): void {
  const { output } = cli
  const { repositories, addresses, moves, changes, refused } = report
  output.answer(`Token ${token.id} (${token.name}) of ${token.owner} since ${since.toISOString()}`)
  output.answer('')
  output.table(
    ['REPOSITORY', 'FETCHED', 'PUSHED', 'REFUSED', 'BYTES OUT', 'FIRST', 'LAST'],
    repositories.map((use) => [
      use.repository,
      String(use.fetches),
      String(use.pushes),
      String(use.refused),
      formatSize(use.bytesOut),
      formatTime(use.first),
      formatTime(use.last),
    ]),
    'No repositories used.',
  )
  section(cli, 'Changed refs', moves.length)
  output.table(
    ['TIME', 'REPOSITORY', 'REF', 'OLD', 'NEW', 'ADDRESS'],
    moves.map((move) => [
      formatTime(move.at),
      move.repository ?? '-',
      printable(move.ref),
      move.old.slice(0, 12),
      `${move.new.slice(0, 12)}${move.isCertain ? '' : ' (unconfirmed)'}`,
      move.ip ?? '-',
    ]),
    'No refs changed.',
  )
  section(cli, 'Addresses', addresses.length)
  output.table(
    ['ADDRESS', 'REQUESTS', 'FIRST', 'LAST'],
    addresses.map(({ ip, requests, first, last }) => [ip, String(requests), formatTime(first), formatTime(last)]),
    'No addresses.',
  )
  section(cli, 'API changes', changes.length)
  output.table(
    ['TIME', 'ACTION', 'TARGET', 'ADDRESS'],
    changes.map(({ at, action, target, ip }) => [formatTime(at), action, printable(target ?? '-'), ip ?? '-']),
    'No API changes.',
  )
  if (refused > 0)
    output.note(`${refused} of its requests were refused: gitgate audit list --token ${token.id} --decision refused`)
}

function section({ output }: OpenCli, title: string, count: number): void {
  if (count === 0) return
  output.answer('')
  output.answer(`${title}:`)
}

function entityOf({ id, name }: Reported, since: Date, report: TokenReport) {
  return {
    token: { id, name },
    since: since.toISOString(),
    repositories: report.repositories.map(({ bytesOut, ...use }) => ({ ...use, bytes_out: bytesOut })),
    refs: report.moves.map(({ requestId, isCertain, ...move }) => ({
      ...move,
      request_id: requestId,
      certain: isCertain,
    })),
    addresses: report.addresses,
    changes: report.changes.map(auditEntity),
    refused: report.refused,
  }
}
