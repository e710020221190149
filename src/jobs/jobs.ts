import { DAY } from '../clock.js'
import { revokeTooLongLived } from '../policies/lifetime.js'
import type { Settings } from '../policies/settings.js'
import { resolveSettings } from '../policies/settings.js'
import type { JobsOptions } from './options.js'

/** When a job runs. */
type JobPlan = { readonly schedule: string; readonly summary: string; readonly atStart?: true }

/** What is done by a schedule, in UTC. */
export const JOBS = {
  'expiry-notice': { schedule: '0 1 * * *', summary: 'tell owners of tokens that expire in under seven days' },
  'expired-notice': { schedule: '0 2 * * *', summary: 'tell owners of tokens that have expired' },
  'lifetime-revocation': {
    schedule: '* * * * *',
    summary: 'revoke tokens that live longer than a new limit allows',
    // A gate that starts need not wait for the next minute.
    atStart: true,
  },
  'audit-retention': { schedule: '0 3 * * *', summary: 'delete what the audit trail needs to keep no longer' },
} as const satisfies Record<string, JobPlan>

export type JobName = keyof typeof JOBS

/** All jobs, in the order in which they are shown. */
export const JOB_NAMES = Object.keys(JOBS) as readonly JobName[]

/** What came of a job: it was done, or can't be until something is configured. */
export type JobOutcome =
  { readonly kind: 'done'; readonly outcome: string } | { readonly kind: 'unconfigured'; readonly remedy: string }

/** Jobs that write notices. */
export function isNoticeJob(name: JobName): boolean {
  return name === 'expiry-notice' || name === 'expired-notice'
}

const NOTICED_BEFORE = 7 * DAY

/** Does a job once. To do it twice, or at once in two gates, does no more than to do it once. */
export async function doJob(name: JobName, options: JobsOptions): Promise<JobOutcome> {
  const { store, clock } = options
  const settings = resolveSettings(await store.settings.list())
  switch (name) {
    case 'expiry-notice':
      return await notice(options, settings, (now, mail) =>
        store.notices.noteExpiring(now, new Date(now.getTime() + NOTICED_BEFORE), mail),
      )
    case 'expired-notice': {
      const last = (await store.jobRuns.find(name))?.doneAt ?? clock()
      // From the midnight before the last run on: what expired while no gate ran is told, too.
      const since = new Date(Math.floor(last.getTime() / DAY) * DAY)
      return await notice(options, settings, (now, mail) => store.notices.noteExpired(since, now, mail))
    }
    case 'lifetime-revocation': {
      const revoked = await revokeTooLongLived(store.tokens, store.settings, clock())
      for (const { id } of revoked)
        options.log?.info({ token_id: id }, 'revoked: lives longer than max_personal_access_token_lifetime')
      return done(count(revoked.length, 'token', 'revoked'))
    }
    case 'audit-retention': {
      if (settings.audit_retention === null) return done('everything is kept (setting audit_retention)')
      const before = new Date(clock().getTime() - settings.audit_retention * DAY)
      return done(count(await store.audit.prune(before), 'row', 'deleted'))
    }
  }
}

async function notice(
  { config, store, clock }: JobsOptions,
  settings: Settings,
  note: (now: Date, mail: boolean) => Promise<number>,
): Promise<JobOutcome> {
  if (!settings.enforce_pat_expiration) return done('nothing to tell: tokens do not expire (enforce_pat_expiration)')
  const mail = config.smtp !== undefined
  if (!mail && (await store.webhooks.list()).length === 0) {
    return {
      kind: 'unconfigured',
      remedy:
        'there is no way to tell anybody: set GITGATE_SMTP_URL (such as smtp://mail.example.com:587) and GITGATE_MAIL_FROM, or add a webhook: gitgate webhook add URL',
    }
  }
  return done(count(await note(clock(), mail), 'notice', 'written'))
}

function done(outcome: string): JobOutcome {
  return { kind: 'done', outcome }
}

function count(number: number, thing: string, what: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'} ${what}`
}
