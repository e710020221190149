import type { Command } from 'commander'
import { formatSize } from '../domain/tokens/budget.js'
import type { CliContext, WideOption } from './context.js'
import { addCommand, timeFormatter, WIDE_OPTION } from './context.js'

/** `gitgate cache …`: the response caches of running gates. */
export function addCacheCommands(program: Command, context: CliContext): void {
  const group = program.command('cache').description('the response caches of running gates')

  addCommand(group, 'stats', 'show what each cache holds, and its hits and misses', 'gitgate cache stats')
    .option(...WIDE_OPTION)
    .action(async ({ json, wide }: WideOption & { json?: true }) => {
      const reports = await context.dependencies.cache.reports(context.config())
      if (json === true) {
        context.output.json(reports)
        return
      }
      const formatTime = timeFormatter(context, wide)
      context.output.table(
        [
          'INSTANCE',
          'PID',
          'HITS',
          'COALESCED',
          'MISSES',
          'BYPASSES',
          'EVICTED',
          'ENTRIES',
          'SIZE',
          'MAX SIZE',
          'UPDATED',
        ],
        reports.map(({ instance, pid, hit, coalesced, miss, bypass, evicted, entries, bytes, quota, at }) => [
          instance,
          ...[pid, hit, coalesced, miss, bypass, evicted, entries].map(String),
          formatSize(bytes),
          formatSize(quota),
          formatTime(new Date(at)),
        ]),
        'No gate with a cache runs on this data folder.',
      )
    })

  addCommand(group, 'clear', 'clear the caches', 'gitgate cache clear').action(async ({ json }: { json?: true }) => {
    const gates = await context.dependencies.cache.clear(context.config())
    if (json === true) context.output.json({ gates })
    else if (gates === 0) context.output.note('No gate with a cache runs on this data folder.')
    else
      context.output.note(
        `${gates === 1 ? 'One gate clears its cache' : `${gates} gates clear their caches`} within a second.`,
      )
  })
}
