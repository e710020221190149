import type { Command } from 'commander'
import type { CliContext, WideOption } from './context.js'
import { addCommand, timeFormatter, withStore, WIDE_OPTION } from './context.js'

type JsonOption = { json?: true }

/** `gitgate jobs …`: scheduled jobs. */
export function addJobsCommands(program: Command, context: CliContext): void {
  const group = program.command('jobs').description('scheduled jobs (times in UTC)')

  addCommand(group, 'list', 'list jobs with their last and next runs', 'gitgate jobs list')
    .option(...WIDE_OPTION)
    .action(({ json, wide }: JsonOption & WideOption) =>
      withStore(context, async (cli) => {
        const { store, output } = cli
        const jobs = await (await store.jobs(cli.config())).list()
        const { count, lastError } = await store.notifications.waiting()
        if (json === true) {
          output.json(
            jobs.map(({ name, schedule, summary, writesNotifications, run, next }) => ({
              name,
              schedule,
              summary,
              last_run_at: run?.triedAt.toISOString() ?? null,
              last_done_at: run?.doneAt?.toISOString() ?? null,
              outcome: run?.outcome ?? null,
              next_run_at: next.toISOString(),
              // Running the job sends these, too.
              ...(writesNotifications ? { notifications_waiting: count, last_error: lastError } : {}),
            })),
          )
          return
        }
        const formatTime = timeFormatter(cli, wide)
        output.table(
          ['JOB', 'SCHEDULE', 'LAST RUN', 'OUTCOME', 'NEXT RUN'],
          jobs.map(({ name, schedule, run, next }) => [
            name,
            schedule,
            run === undefined ? 'never' : formatTime(run.triedAt),
            run?.outcome ?? '-',
            formatTime(next),
          ]),
          '',
        )
        if (count === 0) output.note('No pending notifications.')
        else
          output.note(
            `${count === 1 ? '1 pending notification' : `${count} pending notifications`}${lastError === null ? '.' : `; last error: ${lastError}`}`,
          )
      }),
    )

  addCommand(
    group,
    'run <name>',
    'run a job now; the expiry jobs also send all pending notifications',
    'gitgate jobs run expiry-notification',
  ).action((job: string, { json }: JsonOption) =>
    withStore(context, async (cli) => {
      const { store, output } = cli
      const { name, outcome } = await (await store.jobs(cli.config())).run(job)
      if (json === true) output.json({ name, outcome })
      else output.note(`${name}: ${outcome}.`)
    }),
  )
}
