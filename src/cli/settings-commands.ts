import type { Command } from 'commander'
import type { SettingKey, Settings } from '../domain/policies/settings.js'
import {
  formatSetting,
  parseSetting,
  parseSettingKey,
  SETTING_KEYS,
  settingSummary,
} from '../domain/policies/settings.js'
import { describeEffect, foreseeEffects } from '../domain/policies/effects.js'
import { REVOCATION_DELAY_MS } from '../domain/policies/lifetime.js'
import { HOUR, utcDate } from '../core/clock.js'
import type { BriefToken } from '../domain/tokens/token.js'
import type { CliContext, OpenCli, WideOption } from './context.js'
import { addCommand, timeFormatter, withStore, WIDE_OPTION } from './context.js'

type JsonOption = { json?: true }

/** `gitgate settings …`: settings that change while the gate runs; a change applies to the next request. */
export function addSettingsCommands(program: Command, context: CliContext): void {
  const group = program.command('settings').description('read and change settings')

  addCommand(group, 'list', 'list all settings', 'gitgate settings list').action(({ json }: JsonOption) =>
    withStore(context, async (cli) => {
      const settings = await cli.settings()
      if (json === true) {
        cli.output.json(settings)
        return
      }
      cli.output.table(
        ['SETTING', 'VALUE', 'DESCRIPTION'],
        SETTING_KEYS.map((key) => [key, formatSetting(settings[key]), settingSummary(key)]),
        '',
      )
    }),
  )

  addCommand(group, 'get <key>', 'show one setting', 'gitgate settings get enforce_pat_expiration').action(
    (name: string, { json }: JsonOption) =>
      withStore(context, async (cli) => {
        const key = parseSettingKey(name)
        const value = (await cli.settings())[key]
        if (json === true) cli.output.json({ [key]: value })
        else cli.output.answer(formatSetting(value))
      }),
  )

  addCommand(
    group,
    'set <key> <value>',
    'change a setting',
    'gitgate settings set max_personal_access_token_lifetime 90',
  )
    .option(...WIDE_OPTION)
    .option('--dry-run', 'change nothing; show the effects')
    .action((name: string, text: string, { json, dryRun, wide }: JsonOption & WideOption & { dryRun?: true }) =>
      withStore(context, async (cli) => {
        const key: SettingKey = parseSettingKey(name)
        const value: Settings[SettingKey] = parseSetting(key, text)
        const settings = await cli.settings()
        const before = formatSetting(settings[key])
        const effects = await foreseeEffects(cli.store, settings, { ...settings, [key]: value }, cli.clock())
        const affected = effects.flatMap((effect) => (effect.kind === 'tokens-revoked' ? effect.tokens : []))
        if (dryRun === true) {
          await showAffected(cli, affected, json, wide)
          for (const effect of effects) cli.output.note(`${describeEffect(effect)}.`)
          return
        }
        await cli.store.settings.set(cli.auditContext, new Map([[key, formatSetting(value)]]), cli.clock())
        if (json === true) {
          cli.output.json({ [key]: value })
          return
        }
        cli.output.note(`${key} is now ${formatSetting(value)} (was ${before}).`)
        if (affected.length > 0) {
          cli.output.note(
            `${affected.length === 1 ? '1 token lives' : `${affected.length} tokens live`} longer and will be revoked in ${REVOCATION_DELAY_MS / HOUR} hours; to list them: gitgate settings set ${key} ${formatSetting(value)} --dry-run`,
          )
        }
      }),
    )
}

/** Shows the tokens that a setting would revoke. */
async function showAffected(
  cli: OpenCli,
  tokens: readonly BriefToken[],
  json: true | undefined,
  wide: true | undefined,
): Promise<void> {
  const usernames = new Map((await cli.store.accounts.list()).map(({ id, username }) => [id, username]))
  if (json === true) {
    cli.output.json(
      tokens.map(({ id, name, userId, expiresAt }) => ({
        id,
        name,
        user: usernames.get(userId),
        expires_at: expiresAt === null ? null : utcDate(expiresAt),
      })),
    )
    return
  }
  const formatTime = timeFormatter(cli, wide)
  cli.output.table(
    ['ID', 'USER', 'NAME', 'EXPIRES', 'LAST USED'],
    tokens.map(({ id, userId, name, expiresAt, lastUsedAt }) => [
      String(id),
      usernames.get(userId) ?? '?',
      name,
      expiresAt === null ? 'never' : formatTime(expiresAt),
      lastUsedAt === null ? 'never' : formatTime(lastUsedAt),
    ]),
    'No token would be revoked.',
  )
}
