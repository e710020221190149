import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { formatHead, parseHead } from '../../../domain/audit/chain.js'
import { flawSentence } from '../../../domain/audit/flaw.js'
import type { AuditRow } from '../../../domain/audit/event.js'
import { AUDIT_ACTIONS, AUDIT_DECISIONS, isActionOrKind } from '../../../domain/audit/event.js'
import { actorInWords, decisionInWords, subjectInWords } from '../../../domain/audit/render-event.js'
import type { AuditQuery } from '../../../domain/audit/audit-log.js'
import { GitgateError } from '../../../core/errors.js'
import { parseSince } from '../../../domain/tokens/expiry.js'
import { PageError } from '../../page-errors.js'
import { errorsIn } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import { FilterText, withParameters } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { checkPatternLimits } from '../../../protocol/pattern.js'
import { memberOf } from '../../principal.js'

const PATH = '/-/admin/audit_logs'
const PER_PAGE = 50
const MAX_ID = Number.MAX_SAFE_INTEGER

/** The audit log: its events with filters, and verifying its integrity. */
export function auditPages(pages: Pages, { audit, accounts, access }: PageOptions): void {
  const RowId = Type.Integer({ minimum: 0, maximum: MAX_ID })
  const Query = Type.Object({
    user: FilterText,
    token: FilterText,
    action: FilterText,
    decision: Type.Optional(Type.Enum(['', ...AUDIT_DECISIONS])),
    repository: FilterText,
    ip: FilterText,
    since: FilterText,
    until: FilterText,
    before: Type.Optional(RowId),
    after: Type.Optional(RowId),
  })

  pages.get('/audit_logs', { schema: { querystring: Query } }, async (request, reply) => {
    const { before, after, decision = '', ...texts } = request.query
    const filters = Object.fromEntries(FILTERS.map((name) => [name, texts[name]?.trim() ?? ''])) as Filters
    const errors = errorsIn(checksOf(filters, access.now()))
    const isWrong = Object.keys(errors).length > 0
    const isBackwards = after !== undefined
    const query: AuditQuery = {
      ...(isWrong ? {} : await queryOf(filters)),
      ...(decision === '' ? {} : { decision }),
      ...(isBackwards ? { after, oldestFirst: true } : before === undefined ? {} : { before }),
      // One more than is shown tells whether there are more.
      limit: PER_PAGE + 1,
    }
    const found = isWrong ? [] : await audit.list(query)
    const hasMore = found.length > PER_PAGE
    const rows = isBackwards ? found.slice(0, PER_PAGE).reverse() : found.slice(0, PER_PAGE)
    const [newest, oldest] = [rows.at(0)?.id, rows.at(-1)?.id]
    const hasNewer = isBackwards ? hasMore : before !== undefined
    const hasOlder = isBackwards || hasMore
    const to = (changes: Record<string, string | undefined>) => withParameters(request.url, changes)
    return reply.page(
      'admin/audit',
      {
        rows: rows.map(shownRow),
        newer: hasNewer && newest !== undefined ? to({ after: String(newest), before: undefined }) : undefined,
        older: hasOlder && oldest !== undefined ? to({ before: String(oldest), after: undefined }) : undefined,
        filters: { ...filters, decision },
        errors,
        actions: [...new Set(AUDIT_ACTIONS.map((name) => name.split('.', 1)[0] ?? name)), ...AUDIT_ACTIONS],
        decisions: AUDIT_DECISIONS.map((name) => [name, decisionInWords(name)]),
        head: formatHead(await audit.head()),
      },
      isWrong ? 422 : 200,
    )
  })

  pages.get('/audit_logs/:id(\\d+)', { schema: { params: Type.Object({ id: RowId }) } }, async (request, reply) => {
    const { id } = request.params
    const [row] = await audit.list({ after: id - 1, oldestFirst: true, limit: 1 })
    if (row?.id !== id) throw new PageError('not-found')
    return showRow(reply, row)
  })

  const Verification = Type.Object({ head: Type.String({ maxLength: 1_000 }) })
  pages.post('/audit_logs/verify', { schema: { body: Verification } }, async (request, reply) => {
    const member = memberOf(request)
    const text = request.body.head.trim()
    const anchor = text === '' ? undefined : parseHead(text)
    if (text !== '' && anchor === undefined) {
      await flash(member, NO_HEAD, 'bad')
      return reply.redirect(PATH, 303)
    }
    const { rows, first, head, flaw } = await audit.verify(anchor)
    if (flaw === undefined) {
      const words =
        rows === 0
          ? 'The audit log is empty.'
          : `${rows === 1 ? '1 event is' : `${rows} events are`} intact: ${first.id + 1} to`
      await flash(member, rows === 0 ? words : `${words} ${head.id}. Checkpoint: ${formatHead(head)}`)
    } else {
      const sentence = flawSentence(flaw)
      await flash(member, `${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}.`, 'bad')
    }
    return reply.redirect(PATH, 303)
  })

  const queryOf = async (filters: Filters): Promise<Partial<AuditQuery>> => {
    const { user, token, action, repository, ip, since, until } = filters
    const now = access.now()
    return {
      // The events of deleted accounts remain.
      ...(user === '' ? {} : { user: (await accounts.findByUsername(user))?.username ?? user }),
      ...(token === '' ? {} : { tokens: [Number(token)] }),
      ...(action === '' ? {} : { action }),
      ...(repository === '' ? {} : { repository }),
      ...(ip === '' ? {} : { ip }),
      ...(since === '' ? {} : { since: parseSince(since, now) }),
      ...(until === '' ? {} : { until: parseSince(until, now) }),
    }
  }
}

const NO_HEAD = 'A checkpoint is a number, a colon and 64 hexadecimal digits, as shown here or by gitgate audit head.'
const FILTERS = ['user', 'token', 'action', 'repository', 'ip', 'since', 'until'] as const

type Filters = Readonly<Record<(typeof FILTERS)[number], string>>

function checksOf({ token, action, repository, since, until }: Filters, now: Date) {
  return {
    repository: () => checkPatternLimits('repository', repository),
    token: () => {
      if (token !== '' && !/^[1-9]\d{0,14}$/.test(token)) throw new GitgateError('invalid', 'enter the ID of a token')
    },
    action: () => {
      if (action !== '' && !isActionOrKind(action)) throw new GitgateError('invalid', 'there is no such action')
    },
    since: () => since !== '' && parseSince(since, now),
    until: () => until !== '' && parseSince(until, now),
  }
}

function shownRow(row: AuditRow) {
  return {
    ...row,
    actor: actorInWords(row),
    subject: subjectInWords(row),
    decision: decisionInWords(row.decision),
  }
}

function showRow(reply: FastifyReply, row: AuditRow) {
  const { via, username, tokenId, ip, userAgent, requestId, repository, service, target, bytesIn, bytesOut, hash } = row
  // Some of them link to a filter.
  const facts: readonly (readonly [name: string, value: string | number | null, filter?: keyof Filters | undefined])[] =
    [
      ['User', username, 'user'],
      ['Token', tokenId, 'token'],
      ['Via', via],
      ['Rule', row.rule],
      ['Address', ip, 'ip'],
      ['User agent', userAgent],
      ['Request ID', requestId],
      ['Repository', repository, 'repository'],
      ['Service', service],
      ['Target', target, (['user', 'token'] as const).find((kind) => target?.startsWith(`${kind}:`))],
      ['Bytes in', bytesIn],
      ['Bytes out', bytesOut],
      ['Details', row.details === null ? null : JSON.stringify(row.details, null, 2)],
      ['Hash', hash],
    ]
  return reply.page('admin/audit-row', {
    row: shownRow(row),
    facts: facts
      .filter(([, value]) => value !== null)
      .map(([name, value, filter]) => {
        // The name in a target such as `user:alice`.
        const others = filter && withParameters(PATH, { [filter]: String(value).replace(`${filter}:`, '') })
        return { name, value, others }
      }),
    refs: row.refs ?? [],
  })
}
