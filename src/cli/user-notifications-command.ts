import type { Command } from 'commander'
import type { NotificationKind } from '../domain/notifications/notification.js'
import { NOTIFICATION_KINDS, parseNotificationKinds } from '../domain/notifications/notification.js'
import type { CliContext } from './context.js'
import { addCommand, requireAccount, withStore } from './context.js'

type Options = { on?: string; off?: string; json?: true }

/** `gitgate user notifications`: the kinds of notification that an account gets. */
export function addUserNotificationsCommand(user: Command, context: CliContext): void {
  addCommand(
    user,
    'notifications <name>',
    'show which notifications an account gets, or turn kinds off and on',
    'gitgate user notifications alice --off created,new-address',
  )
    .option('--off <kinds>', `turn these off: ${NOTIFICATION_KINDS.join(', ')}`)
    .option('--on <kinds>', 'turn these on again')
    .action((username: string, { on, off, json }: Options) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        const before = await cli.store.notifications.kindsOff(account.id)
        const after = turned(before, off, on)
        if (off !== undefined || on !== undefined)
          await cli.store.notifications.setKindsOff(cli.auditContext, account.id, after)
        const states = NOTIFICATION_KINDS.map((kind) => [kind, !after.includes(kind)] as const)
        if (json === true) {
          cli.output.json({ user: account.username, ...Object.fromEntries(states) })
          return
        }
        cli.output.fields(states.map(([kind, isOn]) => [kind, isOn ? 'on' : 'off']))
        if (account.email === null)
          cli.output.note(
            `${account.username} has no email address, so only webhooks get its notifications: gitgate webhook list`,
          )
      }),
    )
}

function turned(
  before: readonly NotificationKind[],
  off: string | undefined,
  on: string | undefined,
): NotificationKind[] {
  const offs = [...before, ...(off === undefined ? [] : parseNotificationKinds(off))]
  const ons = on === undefined ? [] : parseNotificationKinds(on)
  return NOTIFICATION_KINDS.filter((kind) => offs.includes(kind) && !ons.includes(kind))
}
