import { Type } from 'typebox'
import { parseGrant, parseSubject } from '../../../domain/access/grant.js'
import { parseProtection } from '../../../domain/access/protection.js'
import { fullRefPattern } from '../../../protocol/pattern.js'
import { GrantAnswer, ProtectionAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { invalidField, notFound } from '../api-errors.js'
import { answers, listOf, nothing } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { paginate, windowOf } from '../pagination.js'
import { Page } from '../parameters.js'

/** Grants and protected refs, for administrators. GitLab has no such API. */
export function rightsRoutes(api: Api, options: ApiOptions): void {
  const { grants, protections, accounts, access, baseUrl } = options
  const config = { needs: { admin: true } }
  const tags = ['rights']
  const level = (description: string) => Type.Optional(Type.Enum(['write', 'admin', 'nobody'], { description }))

  api.get(
    '/gitgate/grants',
    {
      schema: {
        summary: 'list all grants',
        tags,
        querystring: Type.Object(Page),
        response: answers(listOf(GrantAnswer)),
      },
      config,
    },
    async (request, reply) => paginate(await grants.list(), windowOf(request.query), request, reply, baseUrl()),
  )

  const Role = Type.Enum(['read', 'write', 'admin'], { description: 'what it may do; admins also protect branches' })
  const Subject = Type.Object({
    subject: Type.String({ maxLength: 1_000, description: 'a username, @all or @anonymous' }),
    pattern: Type.String({ maxLength: 1_000, description: 'of repositories, such as team/**' }),
  })
  api.post(
    '/gitgate/grants',
    {
      schema: {
        summary: 'grant a role on the repositories of a pattern, or change it',
        tags,
        body: Type.Object({ ...Subject.properties, role: Role }),
        response: answers(GrantAnswer, 201),
      },
      config,
    },
    async (request, reply) => {
      const { subject, role, pattern } = request.body
      const grant = parseGrant(subject, role, pattern)
      const isName = !grant.subject.startsWith('@')
      if (isName && (await accounts.findByUsername(subject)) === undefined)
        throw invalidField('subject', 'is no account')
      return await reply.status(201).send(await options.grants.put(request.caller.auditContext, grant, access.now()))
    },
  )

  api.delete(
    '/gitgate/grants',
    { schema: { summary: 'take a grant back', tags, querystring: Subject, response: nothing }, config },
    async (request, reply) => {
      const { subject, pattern } = request.query
      if (!(await options.grants.remove(request.caller.auditContext, parseSubject(subject), pattern)))
        throw notFound('Grant')
      return await reply.status(204).send()
    },
  )

  api.get(
    '/gitgate/protected_refs',
    {
      schema: {
        summary: 'list all protected refs',
        tags,
        querystring: Type.Object(Page),
        response: answers(listOf(ProtectionAnswer)),
      },
      config,
    },
    async (request, reply) => paginate(await protections.list(), windowOf(request.query), request, reply, baseUrl()),
  )

  const Refs = Type.Object({
    repositories: Type.String({ maxLength: 1_000, description: 'a pattern, such as team/**' }),
    refs: Type.String({ maxLength: 1_000, description: 'a branch, or a pattern such as refs/tags/*' }),
  })
  api.post(
    '/gitgate/protected_refs',
    {
      schema: {
        summary: 'protect refs in the repositories of a pattern, or change how',
        tags,
        body: Type.Object({
          ...Refs.properties,
          push: level('who may push: admins, unless said'),
          force: level('who may force: nobody, unless said'),
          delete: level('who may delete: nobody, unless said'),
        }),
        response: answers(ProtectionAnswer, 201),
      },
      config,
    },
    async (request, reply) => {
      const { repositories, refs, push = 'admin', force = 'nobody', delete: deletion = 'nobody' } = request.body
      const protection = parseProtection(repositories, refs, { push, force, delete: deletion })
      return await reply
        .status(201)
        .send(await options.protections.put(request.caller.auditContext, protection, access.now()))
    },
  )

  api.delete(
    '/gitgate/protected_refs',
    { schema: { summary: 'end a protection', tags, querystring: Refs, response: nothing }, config },
    async (request, reply) => {
      const { repositories, refs } = request.query
      if (!(await options.protections.remove(request.caller.auditContext, repositories, fullRefPattern(refs))))
        throw notFound('Protected Ref')
      return await reply.status(204).send()
    },
  )
}
