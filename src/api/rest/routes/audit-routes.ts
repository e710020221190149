import { Type } from 'typebox'
import { describeFlaw } from '../../../domain/audit/flaw.js'
import { auditEntity } from '../../../domain/audit/render-event.js'
import { AUDIT_DECISIONS, isActionOrKind } from '../../../domain/audit/event.js'
import { checkPatternLimits } from '../../../protocol/pattern.js'
import { AuditHeadAnswer, AuditRowAnswer, VerificationAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { badParameter } from '../api-errors.js'
import { answers, listOf } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { Instant, parseInstant } from '../parameters.js'

const MAX_ROWS = 1_000
const DEFAULT_ROWS = 100

/** The audit log, for administrators. GitLab has no such API. */
export function auditRoutes(api: Api, { audit, accounts }: ApiOptions): void {
  const config = { needs: { admin: true } }
  const tags = ['audit']
  const text = (description: string) => Type.Optional(Type.String({ maxLength: 1_000, description }))
  const number = (description: string, maximum = Number.MAX_SAFE_INTEGER) =>
    Type.Optional(Type.Integer({ minimum: 1, maximum, description }))

  api.get(
    '/gitgate/audit_events',
    {
      schema: {
        summary: 'events of the audit log, newest first; the next page with `before`',
        tags,
        querystring: Type.Object({
          user: text('who did it, in whose name, or whose account it was done to'),
          token_id: number('the token that did it, or that it was done to'),
          repository: text('a repository; * stands for anything'),
          action: text('such as git.push, or all that begin so: git'),
          decision: Type.Optional(Type.Enum([...AUDIT_DECISIONS], { description: 'what became of it' })),
          ip: text('from where'),
          since: Type.Optional(Instant),
          until: Type.Optional(Instant),
          before: number('only rows with a lower id'),
          after: number('only rows with a higher id; then the oldest come first'),
          limit: number(`how many rows; ${DEFAULT_ROWS} unless said`, MAX_ROWS),
        }),
        response: answers(listOf(AuditRowAnswer)),
      },
      config,
    },
    async (request) => {
      const { user, token_id: token, since, until, action, limit = DEFAULT_ROWS, ...rest } = request.query
      if (action !== undefined && !isActionOrKind(action)) throw badParameter('action', 'does not have a valid value')
      if (rest.repository !== undefined) checkPatternLimits('repository', rest.repository)
      const [from, to] = [parseInstant('since', since), parseInstant('until', until)]
      // The events of a deleted account remain.
      const username = user === undefined ? undefined : ((await accounts.findByUsername(user))?.username ?? user)
      const rows = await audit.list({
        ...rest,
        ...(username === undefined ? {} : { user: username }),
        limit,
        ...(action === undefined ? {} : { action }),
        ...(token === undefined ? {} : { tokens: [token] }),
        ...(from === undefined ? {} : { since: from }),
        ...(to === undefined ? {} : { until: to }),
        oldestFirst: rest.after !== undefined,
      })
      return rows.map(auditEntity)
    },
  )

  api.get(
    '/gitgate/audit_head',
    {
      schema: {
        summary: 'a checkpoint of the audit log, to be saved elsewhere',
        tags,
        response: answers(AuditHeadAnswer),
      },
      config,
    },
    () => audit.head(),
  )

  api.get(
    '/gitgate/audit_verification',
    {
      schema: {
        summary: 'verify every event of the audit log, and that it contains a saved checkpoint',
        tags,
        querystring: Type.Object({
          id: number('the row of a head that was kept'),
          hash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'and its hash' })),
        }),
        response: answers(VerificationAnswer),
      },
      config,
    },
    async ({ query: { id, hash } }) => {
      if ((id === undefined) !== (hash === undefined))
        throw badParameter(id === undefined ? 'id' : 'hash', 'is missing')
      const anchor = id === undefined || hash === undefined ? undefined : { id, hash }
      const { rows, first, head, flaw } = await audit.verify(anchor)
      const words = flaw === undefined ? null : describeFlaw(flaw)
      return { ok: flaw === undefined, rows, first: first.id + 1, head, flaw: words }
    },
  )
}
