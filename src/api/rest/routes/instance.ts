import { Type } from 'typebox'
import { formatSetting, parseSetting, SETTING_KEYS } from '../../../policies/settings.js'
import type { SettingKey } from '../../../policies/settings.js'
import { GitgateError } from '../../../errors.js'
import type { Api } from '../app.js'
import { invalidField } from '../errors.js'
import type { ApiOptions } from '../options.js'

/** The GitLab whose behaviour the API has; clients look at it to know what they may call. */
const GITLAB_VERSION = '17.9.0'

/** What concerns the instance: its version and its settings. */
export function instanceRoutes(api: Api, options: ApiOptions): void {
  const { access, settings } = options
  const version = { version: GITLAB_VERSION, revision: `gitgate-${options.version}` }
  const readers = { needs: { scopes: ['read_user', 'read_api', 'api'] as const } }

  api.get('/version', { schema: { summary: 'the version' }, config: readers }, () => version)

  api.get('/metadata', { schema: { summary: 'the version, and more' }, config: readers }, () => ({
    ...version,
    kas: { enabled: false, externalUrl: null, version: null },
    enterprise: false,
  }))

  const admin = { needs: { admin: true } }
  api.get('/application/settings', { schema: { summary: 'all settings' }, config: admin }, () => access.settings())

  const Body = Type.Optional(
    Type.Object(Object.fromEntries(SETTING_KEYS.map((key) => [key, Type.Optional(Type.Unknown())]))),
  )
  api.put(
    '/application/settings',
    { schema: { summary: 'change settings; others stay as they are', body: Body, querystring: Body }, config: admin },
    async (request) => {
      const given = { ...(request.query as object), ...(request.body as object | undefined) } as Record<string, unknown>
      const changes = SETTING_KEYS.filter((key) => Object.hasOwn(given, key)).map((key) => readSetting(key, given[key]))
      for (const [key, text] of changes) await settings.set(key, text, access.now())
      return await access.settings()
    },
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '?'
}

/** @throws ApiError as GitLab's models say it */
function readSetting(key: SettingKey, value: unknown): readonly [SettingKey, string] {
  const text = value === null ? 'null' : [value].flat().map(textOf).join(',')
  try {
    return [key, formatSetting(parseSetting(key, text))]
  } catch (error) {
    if (!(error instanceof GitgateError)) throw error
    throw invalidField(key, error.message.replace(`${key}: `, ''))
  }
}
