import { Type } from 'typebox'
import type { Explanation } from '../../../domain/access/explain.js'
import { ABILITIES, explainAccess, parseRef } from '../../../domain/access/explain.js'
import { subjectsOf } from '../../../domain/access/grant.js'
import { describeProtection } from '../../../domain/access/protection.js'
import { GitgateError } from '../../../core/errors.js'
import { requireRepositoryPath } from '../../../protocol/repository-path.js'
import { REF_VERBS } from '../../../domain/tokens/restriction.js'
import type { FieldErrors } from '../../forms.js'
import { errorsIn } from '../../forms.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { FilterText } from '../../pager.js'
import { memberOf } from '../../principal.js'

const ANYBODY = '@anonymous'

/** Explains what an account may do, and by which rule. */
export function explainPages(pages: Pages, options: PageOptions): void {
  const { accounts, access, grants, protections, listRepositories } = options
  const Query = Type.Object({ user: FilterText, repository: FilterText, ref: FilterText })

  pages.get('/explain', { schema: { querystring: Query } }, async (request, reply) => {
    const { user = '', repository = '', ref = '' } = request.query
    const values = { user: user.trim(), repository: repository.trim(), ref: ref.trim() }
    const isAsked = values.user !== '' || values.repository !== ''
    const account = values.user === ANYBODY ? undefined : await accounts.findByUsername(values.user)
    const errors: FieldErrors = isAsked
      ? errorsIn({
          user: () => {
            if (account !== undefined || values.user === ANYBODY) return
            throw new GitgateError('not-found', `there is no account "${values.user}"`)
          },
          repository: () => requireRepositoryPath(values.repository, 'upstream'),
          ref: () => values.ref !== '' && parseRef(values.ref),
        })
      : {}
    if (!isAsked || Object.keys(errors).length > 0)
      return reply.page('admin/explain', { values, errors, answer: undefined }, isAsked ? 422 : 200)
    const { ownsGroup } = await access.accessOf(memberOf(request).account)
    const repositoryPath = requireRepositoryPath(values.repository, 'upstream')
    const explanation = explainAccess(
      {
        account,
        repository: repositoryPath,
        ref: values.ref === '' ? undefined : parseRef(values.ref),
      },
      {
        grants: await grants.listFor(subjectsOf(account)),
        protections: await protections.list(),
        ownsGroup,
      },
    )
    const isThere = ownsGroup ? (await listRepositories()).includes(repositoryPath) : undefined
    const answer = { ...answerOf(account?.username ?? ANYBODY, explanation), isThere }
    return reply.page('admin/explain', { values, errors, answer })
  })
}

function answerOf(user: string, { role, rule, blocked, about }: Explanation) {
  return {
    user,
    ability: blocked ? 'is blocked and can’t use' : ABILITIES[role],
    otherwise: blocked ? ABILITIES[role] : undefined,
    isAllowed: role !== 'none' && !blocked,
    rule,
    ref: about?.ref,
    protections: about?.protectedBy.map(describeProtection) ?? [],
    verbs:
      about === undefined
        ? []
        : REF_VERBS.map((verb) => ({
            verb,
            reason: blocked ? 'the account is blocked' : about.verbs[verb],
          })),
  }
}
