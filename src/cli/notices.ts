import type { Command } from 'commander'
import type { NoticeKind } from '../domain/notifications/notice.js'
import { NOTICE_KINDS, parseNoticeKinds } from '../domain/notifications/notice.js'
import type { CliContext } from './context.js'
import { addCommand, requireAccount, withStore } from './context.js'

type Options = { on?: string; off?: string; json?: true }

/** `gitgate user notices`: what an account is told about. */
export function addNoticesCommand(user: Command, context: CliContext): void {
  addCommand(
    user,
    'notices <name>',
    'show what an account is told about, or turn kinds of notices off and on',
    'gitgate user notices alice --off created,new-address',
  )
    .option('--off <kinds>', `do not tell of these: ${NOTICE_KINDS.join(', ')}`)
    .option('--on <kinds>', 'tell of these again')
    .action((username: string, { on, off, json }: Options) =>
      withStore(context, async (cli) => {
        const account = await requireAccount(cli, username)
        const before = await cli.store.notices.kindsOff(account.id)
        const after = turned(before, off, on)
        if (off !== undefined || on !== undefined) await cli.store.notices.setKindsOff(account.id, after)
        const states = NOTICE_KINDS.map((kind) => [kind, !after.includes(kind)] as const)
        if (json === true) {
          cli.output.json({ user: account.username, ...Object.fromEntries(states) })
          return
        }
        cli.output.fields(states.map(([kind, isOn]) => [kind, isOn ? 'on' : 'off']))
        if (account.email === null)
          cli.output.note(`${account.username} has no e-mail address, so only webhooks tell: gitgate webhook list`)
      }),
    )
}

function turned(before: readonly NoticeKind[], off: string | undefined, on: string | undefined): NoticeKind[] {
  const offs = [...before, ...(off === undefined ? [] : parseNoticeKinds(off))]
  const ons = on === undefined ? [] : parseNoticeKinds(on)
  return NOTICE_KINDS.filter((kind) => offs.includes(kind) && !ons.includes(kind))
}
