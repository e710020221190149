import type { Queries } from './database.js'

/** When a job ran. */
export type JobRun = {
  /** The last time that it was done; `null`: never yet. */
  readonly doneAt: Date | null
  /** The last time that it was tried, and what came of it. */
  readonly triedAt: Date
  readonly outcome: string
}

/** When the jobs ran, whichever gate ran them. */
export interface JobRuns {
  find(name: string): Promise<JobRun | undefined>
  /** @param isDone whether it was done, and not only tried */
  write(name: string, at: Date, isDone: boolean, outcome: string): Promise<void>
}

/** The runs of jobs in the database. */
export function jobRuns(queries: Queries): JobRuns {
  return {
    async find(name) {
      const row = await queries.selectFrom('job_runs').selectAll().where('name', '=', name).executeTakeFirst()
      if (row === undefined) return undefined
      const doneAt = row.done_at === null ? null : new Date(row.done_at)
      return { doneAt, triedAt: new Date(row.tried_at), outcome: row.outcome }
    },

    async write(name, at, isDone, outcome) {
      const run = { tried_at: at.getTime(), outcome, ...(isDone ? { done_at: at.getTime() } : {}) }
      await queries
        .insertInto('job_runs')
        .values({ name, done_at: null, ...run })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(run))
        .execute()
    },
  }
}
