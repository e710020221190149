import type { Command } from 'commander'
import { GitgateError } from '../core/errors.js'
import type { Webhook } from '../domain/notifications/webhook.js'
import { checkWebhookUrl, mintWebhookSecret } from '../domain/notifications/webhook.js'
import { printable } from '../core/printable.js'
import type { CliContext, OpenCli, WideOption } from './context.js'
import { addCommand, requireAccount, timeFormatter, withStore, WIDE_OPTION } from './context.js'

type JsonOption = { json?: true }

/** `gitgate webhook …`: URLs that notifications are posted to, for bots without a mailbox. */
export function addWebhookCommands(program: Command, context: CliContext): void {
  const group = program.command('webhook').description('URLs that notifications are posted to')

  addCommand(
    group,
    'add <url>',
    'post the notifications of one account, or of all, to a URL; prints the signing secret once',
    'SECRET=$(gitgate webhook add https://bot.example.com/gitgate --user bot)',
  )
    .option('--user <name>', 'account whose notifications to post (default: all)')
    .action((text: string, { json, user }: JsonOption & { user?: string }) =>
      withStore(context, async (cli) => {
        const url = checkWebhookUrl(text)
        const account = user === undefined ? null : await requireAccount(cli, user)
        const secret = mintWebhookSecret()
        const webhook = await cli.store.webhooks.add(cli.auditContext, account?.id ?? null, url, secret, cli.clock())
        if (json === true) {
          cli.output.json({ ...(await webhookEntity(cli, webhook)), secret: secret.reveal() })
          return
        }
        cli.output.answer(secret.reveal())
        cli.output.note(
          `Webhook ${webhook.id} was added. Its deliveries are signed with this secret. Copy it now, you won't see it again. To try it: gitgate webhook test ${webhook.id}`,
        )
      }),
    )

  addCommand(group, 'list', 'list webhooks', 'gitgate webhook list')
    .option(...WIDE_OPTION)
    .action(({ json, wide }: JsonOption & WideOption) =>
      withStore(context, async (cli) => {
        const webhooks = await cli.store.webhooks.list()
        const entities = await Promise.all(webhooks.map((webhook) => webhookEntity(cli, webhook)))
        if (json === true) {
          cli.output.json(entities)
          return
        }
        const formatTime = timeFormatter(cli, wide)
        cli.output.table(
          ['ID', 'USER', 'URL', 'CREATED'],
          entities.map(({ id, user, url, created_at }) => [
            String(id),
            user ?? 'all',
            url,
            formatTime(new Date(created_at)),
          ]),
          'No webhooks. Add one: gitgate webhook add URL',
        )
      }),
    )

  addCommand(group, 'remove <id>', 'remove a webhook', 'gitgate webhook remove 3').action(
    (text: string, { json }: JsonOption) =>
      withStore(context, async ({ store, auditContext, output }) => {
        const id = requireWebhookId(text)
        if (!(await store.webhooks.remove(auditContext, id))) throw noWebhook(id)
        if (json === true) output.json({ id, removed: true })
        else output.note(`Webhook ${id} and its pending deliveries were removed.`)
      }),
  )

  addCommand(group, 'test <id>', 'post a test event; exits with 0 if it was accepted', 'gitgate webhook test 3').action(
    (text: string, { json }: JsonOption) =>
      withStore(context, async (cli) => {
        const { store, output } = cli
        const id = requireWebhookId(text)
        const webhook = await store.webhooks.find(id)
        if (webhook === undefined) throw noWebhook(id)
        const jobs = await store.jobs(cli.config())
        await jobs.testWebhook(webhook)
        if (json === true) output.json({ id, accepted: true })
        else output.note(`Webhook ${id} accepted a test event.`)
      }),
  )
}

async function webhookEntity({ store }: OpenCli, { id, accountId, url, createdAt }: Webhook) {
  const user = accountId === null ? null : ((await store.accounts.find(accountId))?.username ?? null)
  return { id, url, user, created_at: createdAt.toISOString() }
}

function requireWebhookId(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new GitgateError('usage', `"${printable(text)}" is not an ID; to list webhooks: gitgate webhook list`)
}

function noWebhook(id: number): GitgateError {
  return new GitgateError('not-found', `there is no webhook ${id}; to list webhooks: gitgate webhook list`)
}
