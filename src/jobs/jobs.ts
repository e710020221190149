import { GATE_CONTEXT } from '../domain/audit/event.js'
import { applyRetention, EVERYTHING_KEPT } from '../domain/audit/retention.js'
import { DAY } from '../core/clock.js'
import { revokeTooLongLived } from '../domain/policies/lifetime.js'
import type { Settings } from '../domain/policies/settings.js'
import { resolveSettings } from '../domain/policies/settings.js'
import type { JobsOptions } from './jobs-options.js'

/** A job's schedule and description. */
type JobPlan = { readonly schedule: string; readonly summary: string; readonly atStart?: true }

/** The scheduled jobs; times are in UTC. */
export const JOBS = {
  'expiry-notification': { schedule: '0 1 * * *', summary: 'notify owners of tokens that expire in under seven days' },
  'expired-notification': { schedule: '0 2 * * *', summary: 'notify owners of tokens that have expired' },
  'lifetime-revocation': {
    schedule: '* * * * *',
    summary: 'revoke tokens that live longer than a new limit allows',
    // A gate that starts doesn't wait for the next minute.
    atStart: true,
  },
  'audit-retention': { schedule: '0 3 * * *', summary: 'delete audit events older than the setting audit_retention' },
} as const satisfies Record<string, JobPlan>

export type JobName = keyof typeof JOBS

/** All jobs, in the order in which they are shown. */
export const JOB_NAMES = Object.keys(JOBS) as readonly JobName[]

/** Jobs that write notifications. */
export function writesNotifications(name: JobName): boolean {
  return name === 'expiry-notification' || name === 'expired-notification'
}

const NOTIFIED_BEFORE_EXPIRY_MS = 7 * DAY
const LOOK_BACK_MS = 7 * DAY

/** Runs a job once. Running it twice, or in two gates at once, has the same effect. @returns the outcome */
export async function doJob(name: JobName, options: JobsOptions): Promise<string> {
  const { store, clock } = options
  const settings = resolveSettings(await store.settings.list())
  switch (name) {
    case 'expiry-notification':
      return await writeNotifications(options, settings, (now) =>
        store.notifications.addExpiring(now, new Date(now.getTime() + NOTIFIED_BEFORE_EXPIRY_MS)),
      )
    case 'expired-notification': {
      const now = clock()
      const doneAt = (await store.jobRuns.find(name))?.doneAt ?? now
      // The clock was ahead then. Reported tokens are marked, so looking back too far reports nothing twice.
      const last = doneAt > now ? new Date(now.getTime() - LOOK_BACK_MS) : doneAt
      // From the midnight before the last run, so that tokens that expired while no gate ran are reported, too.
      const since = new Date(Math.floor(last.getTime() / DAY) * DAY)
      return await writeNotifications(options, settings, (now) => store.notifications.addExpired(since, now))
    }
    case 'lifetime-revocation': {
      const revoked = await revokeTooLongLived(store.tokens, store.settings, clock())
      for (const { id } of revoked)
        options.log?.info({ token_id: id }, 'revoked: lives longer than max_personal_access_token_lifetime')
      return count(revoked.length, 'token', 'revoked')
    }
    case 'audit-retention': {
      const guard = { share: options.config.auditPruneShare }
      const retained = await applyRetention(store.audit, GATE_CONTEXT, settings.audit_retention, clock(), guard)
      if (retained?.held === true)
        options.log?.warn({ outcome: retained.outcome }, 'audit events are kept longer than audit_retention')
      return retained?.outcome ?? EVERYTHING_KEPT
    }
  }
}

async function writeNotifications(
  options: JobsOptions,
  settings: Settings,
  note: (now: Date) => Promise<number>,
): Promise<string> {
  if (!settings.enforce_pat_expiration) return 'no notifications: tokens do not expire (enforce_pat_expiration)'
  // Without a channel they wait, and are deleted after a week.
  const written = count(await note(options.clock()), 'notification', 'written')
  return (await hasNoChannel(options)) ? `${written}; ${NO_CHANNEL}` : written
}

/** Why no notification can be sent. */
export const NO_CHANNEL =
  'no notification channel is configured: set GITGATE_SMTP_URL (such as smtp://mail.example.com:587) and GITGATE_MAIL_FROM, or add a webhook: gitgate webhook add URL'

/** Whether neither mail nor a webhook is configured. */
export async function hasNoChannel({ config, store }: JobsOptions): Promise<boolean> {
  return config.smtp === undefined && (await store.webhooks.list()).length === 0
}

function count(number: number, thing: string, what: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'} ${what}`
}
