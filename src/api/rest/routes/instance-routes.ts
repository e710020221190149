import { Type } from 'typebox'
import {
  formatSetting,
  parseSetting,
  SETTING_KEYS,
  settingProblem,
  settingSummary,
} from '../../../domain/policies/settings.js'
import type { SettingKey } from '../../../domain/policies/settings.js'
import { versionEntity } from '../../gitlab-version.js'
import type { Api } from '../api.js'
import { invalidField } from '../api-errors.js'
import { answers } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'

const Version = Type.Object(
  { version: Type.String(), revision: Type.String() },
  { description: 'the GitLab whose behaviour this is, and the gitgate' },
)
const AllSettings = Type.Object(
  Object.fromEntries(SETTING_KEYS.map((key) => [key, Type.Unknown({ description: settingSummary(key) })])),
  { description: 'each setting with its value' },
)

/** Version and settings of the instance. */
export function instanceRoutes(api: Api, options: ApiOptions): void {
  const { access } = options
  const tags = ['instance']
  const version = versionEntity(options.version)
  const readers = { needs: { scopes: ['read_user', 'api', 'read_api'] as const } }

  api.get(
    '/version',
    { schema: { summary: 'the version', tags, response: answers(Version) }, config: readers },
    () => version,
  )

  api.get(
    '/metadata',
    { schema: { summary: 'the version, and more', tags, response: answers(Version) }, config: readers },
    () => ({
      ...version,
      kas: { enabled: false, externalUrl: null, version: null },
      enterprise: false,
    }),
  )

  const admin = { needs: { admin: true } }
  api.get(
    '/application/settings',
    { schema: { summary: 'all settings (administrators)', tags, response: answers(AllSettings) }, config: admin },
    () => access.settings(),
  )

  const Body = Type.Optional(
    Type.Object(
      Object.fromEntries(
        SETTING_KEYS.map((key) => [key, Type.Optional(Type.Unknown({ description: settingSummary(key) }))]),
      ),
    ),
  )
  api.put(
    '/application/settings',
    {
      schema: {
        summary: 'change settings; others stay as they are (administrators)',
        tags,
        body: Body,
        response: answers(AllSettings),
      },
      config: admin,
    },
    async (request) => {
      const given = request.body as Record<string, unknown>
      const changes = SETTING_KEYS.filter((key) => Object.hasOwn(given, key)).map((key) => readSetting(key, given[key]))
      await options.settings.set(request.caller.auditContext, new Map(changes), access.now())
      return await access.settings()
    },
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '?'
}

/** @throws ApiError as GitLab's models report it */
function readSetting(key: SettingKey, value: unknown): readonly [SettingKey, string] {
  const text = value === null ? '' : [value].flat().map(textOf).join(',')
  const problem = settingProblem(key, text)
  if (problem !== undefined) throw invalidField(key, problem)
  return [key, formatSetting(parseSetting(key, text))]
}
