import type { Command } from 'commander'
import type { SettingKey, Settings } from '../policies/settings.js'
import { formatSetting, parseSetting, parseSettingKey, SETTING_KEYS, settingSummary } from '../policies/settings.js'
import type { CliContext } from './context.js'
import { addCommand, withStore } from './context.js'

type JsonOption = { json?: true }

/** `gitgate settings …`: what is in force on this instance; a change counts from the next request on. */
export function addSettingsCommands(program: Command, context: CliContext): void {
  const group = program.command('settings').description('what is in force on this instance')

  addCommand(group, 'list', 'show all settings', 'gitgate settings list').action(({ json }: JsonOption) =>
    withStore(context, async (cli) => {
      const settings = await cli.settings()
      if (json === true) {
        cli.output.json(settings)
        return
      }
      cli.output.table(
        ['SETTING', 'VALUE', 'WHAT IT DOES'],
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
  ).action((name: string, text: string, { json }: JsonOption) =>
    withStore(context, async (cli) => {
      const key: SettingKey = parseSettingKey(name)
      const value: Settings[SettingKey] = parseSetting(key, text)
      const before = formatSetting((await cli.settings())[key])
      await cli.store.settings.set(key, formatSetting(value))
      if (json === true) {
        cli.output.json({ [key]: value })
        return
      }
      cli.output.note(`${key} is ${formatSetting(value)} now (it was ${before}).`)
    }),
  )
}
