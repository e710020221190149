import type { ExportFailure } from '../domain/audit/audit-log.js'
import type { AuditedChanges } from './audited-changes.js'
import type { Queries } from './database.js'

/** What a gate served last: repositories in a folder, or an upstream server. */
export type ServedBackend = { readonly upstream: string } | { readonly root: string }

/** What a gate stores about itself, for commands that run beside it. */
export interface InstanceFacts {
  /** What `serve` used last; `undefined` before its first run. */
  readBackend(): Promise<ServedBackend | undefined>
  writeBackend(backend: ServedBackend): Promise<void>
  /** The last audit event that was exported to a target. */
  readBookmark(target: string): Promise<number | undefined>
  writeBookmark(target: string, row: number): Promise<void>
  /** Why audit export can't deliver to a target; `undefined` while it can. */
  readExportFailure(target: string): Promise<ExportFailure | undefined>
  writeExportFailure(target: string, failure: ExportFailure | undefined): Promise<void>
  /** Where people reach the gate that listened last, without a slash at its end. */
  readBaseUrl(): Promise<string | undefined>
  writeBaseUrl(url: string): Promise<void>
}

const BACKEND = 'backend'
const BASE_URL = 'base_url'

/** The facts in the database. */
export function instanceFacts(queries: Queries, changes: AuditedChanges): InstanceFacts {
  const read = async (key: string): Promise<string | undefined> => {
    const query = queries.selectFrom('instance_facts').select('value').where('key', '=', key)
    return (await query.executeTakeFirst())?.value
  }
  const write = (key: string, value: string): Promise<void> =>
    changes.write(async (transaction) => {
      await transaction
        .insertInto('instance_facts')
        .values({ key, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
    })
  const remove = (key: string): Promise<void> =>
    changes.write(async (transaction) => {
      await transaction.deleteFrom('instance_facts').where('key', '=', key).execute()
    })
  return {
    async readBackend() {
      const value = await read(BACKEND)
      return value === undefined ? undefined : (JSON.parse(value) as ServedBackend)
    },
    writeBackend: (backend) => write(BACKEND, JSON.stringify(backend)),

    async readBookmark(target) {
      const value = await read(bookmarkOf(target))
      return value === undefined ? undefined : Number(value)
    },
    writeBookmark: (target, row) => write(bookmarkOf(target), String(row)),

    async readExportFailure(target) {
      const value = await read(failureOf(target))
      if (value === undefined) return undefined
      const { since, message } = JSON.parse(value) as { since: string; message: string }
      return { since: new Date(since), message }
    },
    async writeExportFailure(target, failure) {
      const key = failureOf(target)
      if (failure === undefined) await remove(key)
      else await write(key, JSON.stringify(failure))
    },

    readBaseUrl: () => read(BASE_URL),
    writeBaseUrl: (url) => write(BASE_URL, url),
  }
}

function bookmarkOf(target: string): string {
  return `audit told to ${target}`
}

function failureOf(target: string): string {
  return `audit export failure ${target}`
}

// Rows carry the names that 0.1.0 gave these jobs.
const STORED_JOB_NAMES: Readonly<Record<string, string>> = {
  'expiry-notification': 'expiry-notice',
  'expired-notification': 'expired-notice',
}

/** When a job ran. */
export type JobRun = {
  /** When it last succeeded; `null`: never. */
  readonly doneAt: Date | null
  /** When it last ran, and the outcome. */
  readonly triedAt: Date
  readonly outcome: string
}

/** When the jobs ran, whichever gate ran them. */
export interface JobRuns {
  find(name: string): Promise<JobRun | undefined>
  /** @param isDone whether it succeeded */
  write(name: string, at: Date, isDone: boolean, outcome: string): Promise<void>
}

/** The runs of jobs in the database. */
export function jobRuns(queries: Queries, changes: AuditedChanges): JobRuns {
  const storedName = (name: string): string => STORED_JOB_NAMES[name] ?? name
  return {
    async find(name) {
      const ofJob = queries.selectFrom('job_runs').selectAll().where('name', '=', storedName(name))
      const row = await ofJob.executeTakeFirst()
      if (row === undefined) return undefined
      const doneAt = row.done_at === null ? null : new Date(row.done_at)
      return { doneAt, triedAt: new Date(row.tried_at), outcome: row.outcome }
    },

    write: (name, at, isDone, outcome) =>
      changes.write(async (transaction) => {
        const run = { tried_at: at.getTime(), outcome, ...(isDone ? { done_at: at.getTime() } : {}) }
        await transaction
          .insertInto('job_runs')
          .values({ name: storedName(name), done_at: null, ...run })
          .onConflict((conflict) => conflict.column('name').doUpdateSet(run))
          .execute()
      }),
  }
}
