import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { describeEffect, foreseeEffects } from '../../../domain/policies/effects.js'
import type { Effect } from '../../../domain/policies/effects.js'
import type { SettingKey, Settings } from '../../../domain/policies/settings.js'
import {
  formatSetting,
  parseSetting,
  SETTING_KEYS,
  settingDefault,
  settingHint,
  settingProblem,
  settingSummary,
  settingTitle,
} from '../../../domain/policies/settings.js'
import { sentence } from '../../page-errors.js'
import type { FieldErrors } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'

const PATH = '/-/admin/application_settings'
/** How many affected accounts or tokens are listed by name. */
const NAMED = 20

/** A heading of the page, with its settings. */
type Section = 'Tokens' | 'Sign-in' | 'Git' | 'Bans' | 'Audit log'

const SECTIONS: Readonly<Record<SettingKey, Section>> = {
  enforce_pat_expiration: 'Tokens',
  max_personal_access_token_lifetime: 'Tokens',
  require_personal_access_token_expiry: 'Tokens',
  personal_access_token_prefix: 'Tokens',
  disable_personal_access_tokens: 'Tokens',
  impersonation_enabled: 'Tokens',
  password_authentication_enabled_for_git: 'Sign-in',
  require_two_factor_authentication: 'Sign-in',
  two_factor_grace_period: 'Sign-in',
  session_expire_delay: 'Sign-in',
  receive_max_input_size: 'Git',
  allow_unproven_fast_forwards: 'Git',
  push_to_create: 'Git',
  git_basic_auth_enabled: 'Bans',
  git_basic_auth_maxretry: 'Bans',
  git_basic_auth_findtime: 'Bans',
  git_basic_auth_bantime: 'Bans',
  git_basic_auth_ip_allowlist: 'Bans',
  audit_retention: 'Audit log',
}

type Typed = Partial<Record<SettingKey, string>>

/** The settings. A change first shows whom it affects. */
export function settingPages(pages: Pages, options: PageOptions): void {
  const { access, accounts } = options

  const show = async (reply: FastifyReply, typed: Typed, errors: FieldErrors) => {
    const settings = await access.settings()
    const fields = SETTING_KEYS.map((key) => ({
      key,
      section: SECTIONS[key],
      title: settingTitle(key),
      summary: sentence(settingSummary(key)).replace(' (null', ' (empty'),
      fallback: inWords(settingDefault(key)),
      isFlag: typeof settings[key] === 'boolean',
      isNumber: settings[key] === null || typeof settings[key] === 'number',
      value: typed[key] ?? valueOf(settings[key]),
      error: errors[key],
    }))
    const sections = [...new Set(Object.values(SECTIONS))].map((name) => ({
      name,
      fields: fields.filter(({ section }) => section === name),
    }))
    const isWrong = Object.keys(errors).length > 0
    return reply.page('admin/settings', { sections, isWrong }, isWrong ? 422 : 200)
  }

  pages.get('/application_settings', (_request, reply) => show(reply, {}, {}))

  const Value = Type.Optional(Type.String({ maxLength: 10_000 }))
  const values = Object.fromEntries(SETTING_KEYS.map((key) => [key, Value])) as Record<SettingKey, typeof Value>
  const Body = Type.Object({ step: Type.Enum(['review', 'apply']), ...values })
  pages.post('/application_settings', { schema: { body: Body } }, async (request, reply) => {
    const { step, ...typed } = request.body
    const given = SETTING_KEYS.flatMap((key) => (typed[key] === undefined ? [] : [[key, typed[key]] as const]))
    const before = await access.settings()
    const errors = errorsIn(given)
    if (Object.keys(errors).length > 0) return show(reply, typed, errors)
    const changes = given
      .map(([key, text]) => [key, formatSetting(parseSetting(key, text))] as const)
      .filter(([key, text]) => text !== formatSetting(before[key]))
    const member = memberOf(request)
    if (changes.length === 0) {
      await flash(member, 'Nothing to change.')
      return reply.redirect(PATH, 303)
    }
    if (step === 'apply') {
      await options.settings.set(member.auditContext, new Map(changes), access.now())
      const names = changes.map(([key, text]) => `${settingTitle(key)} is now ${inWords(parseSetting(key, text))}`)
      await flash(member, `${names.join('; ')}.`)
      return reply.redirect(PATH, 303)
    }
    const after = { ...before, ...Object.fromEntries(changes.map(([key, text]) => [key, parseSetting(key, text)])) }
    const effects = await foreseeEffects(options, before, after, access.now())
    return reply.page('admin/settings-review', {
      changes: changes.map(([key, text]) => ({
        key,
        title: settingTitle(key),
        from: inWords(before[key]),
        to: inWords(after[key]),
        text,
      })),
      effects: await Promise.all(effects.map((effect) => shownEffect(effect))),
    })
  })

  const shownEffect = async (effect: Effect) => {
    const words = sentence(describeEffect(effect))
    if (!('accounts' in effect || 'tokens' in effect)) return { words, named: [], more: 0, isGood: false }
    if ('accounts' in effect) {
      const named = effect.accounts.slice(0, NAMED).map(({ username }) => ({ username, token: undefined }))
      return { words, named, more: effect.accounts.length - named.length, isGood: false }
    }
    const named = await Promise.all(
      effect.tokens.slice(0, NAMED).map(async (token) => ({
        username: (await accounts.find(token.userId))?.username,
        token,
      })),
    )
    return { words, named, more: effect.tokens.length - named.length, isGood: effect.kind === 'tokens-revived' }
  }
}

/** A value in the form; empty if there is no limit. */
function valueOf(value: Settings[SettingKey]): string {
  return value === null ? '' : formatSetting(value)
}

/** A value in the form's choices and hints. */
function inWords(value: Settings[SettingKey]): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (value === null) return 'no limit'
  return formatSetting(value) || 'empty'
}

/** What is wrong with the form, by field. */
function errorsIn(given: readonly (readonly [SettingKey, string])[]): FieldErrors {
  const errors = given.flatMap(([key, text]) => {
    const problem = settingProblem(key, text)
    return problem === undefined ? [] : [[key, sentenceOn(key, problem)] as const]
  })
  return Object.fromEntries(errors)
}

function sentenceOn(key: SettingKey, problem: string): string {
  if (key === 'personal_access_token_prefix') return `The value ${problem}.`
  const hint = settingHint(key)
  return hint === undefined ? sentence(problem) : `Enter ${hint}.`
}
