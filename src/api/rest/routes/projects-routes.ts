import { Type } from 'typebox'
import type { ProtectionLevel } from '../../../domain/access/protection.js'
import { parseProtection } from '../../../domain/access/protection.js'
import { ProjectAnswer, ProtectedBranchAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import type { Caller } from '../caller.js'
import { forbidden, notFound } from '../api-errors.js'
import { answers, listOf, nothing } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { paginate, windowOf } from '../pagination.js'
import { MinAccessLevel, Name, Page } from '../parameters.js'
import { visibleProjects } from '../visible-projects.js'

/** Repositories as GitLab's projects, and their protected branches. */
export function projectRoutes(api: Api, options: ApiOptions): void {
  const { baseUrl, protections, access } = options
  const tags = ['projects']
  const params = Type.Object({ id: Type.String({ maxLength: 1_000, description: 'number, or path percent-encoded' }) })

  api.get(
    '/projects',
    {
      schema: {
        summary: 'list the repositories that the caller can see',
        tags,
        querystring: Type.Object({
          ...Page,
          search: Type.Optional(Type.String({ maxLength: 1_000, description: 'a part of the path' })),
          min_access_level: MinAccessLevel,
        }),
        response: answers(listOf(ProjectAnswer)),
      },
    },
    async (request, reply) => {
      const { search = '', min_access_level: level = 0 } = request.query
      const projects = (await visibleProjects(options, request.caller, level)).filter(({ path_with_namespace: path }) =>
        path.toLowerCase().includes(search.toLowerCase()),
      )
      return paginate(projects, windowOf(request.query), request, reply, baseUrl())
    },
  )

  const requireProject = async (caller: Caller, id: string) => {
    const projects = await visibleProjects(options, caller)
    const project = projects.find(({ id: number, path_with_namespace: path }) => String(number) === id || path === id)
    if (project === undefined) throw notFound('Project')
    return project
  }

  api.get(
    '/projects/:id',
    { schema: { summary: 'one repository', tags, params, response: answers(ProjectAnswer) } },
    (request) => requireProject(request.caller, request.params.id),
  )

  const protectedBranch = ({ id, refs, push, force }: Awaited<ReturnType<typeof protections.list>>[number]) => ({
    id,
    name: refs.replace(/^refs\/heads\//, ''),
    push_access_levels: [{ access_level: LEVELS[push], access_level_description: push }],
    merge_access_levels: [{ access_level: LEVELS[push], access_level_description: push }],
    allow_force_push: force !== 'nobody',
  })
  const ofProject = async (path: string) =>
    (await protections.list()).filter(({ repositories }) => repositories === path)

  api.get(
    '/projects/:id/protected_branches',
    {
      schema: {
        summary: 'list the protections of one repository',
        tags,
        params,
        querystring: Type.Object(Page),
        response: answers(listOf(ProtectedBranchAnswer)),
      },
    },
    async (request, reply) => {
      const { path_with_namespace: path } = await requireProject(request.caller, request.params.id)
      const list = (await ofProject(path)).map(protectedBranch)
      return paginate(list, windowOf(request.query), request, reply, baseUrl())
    },
  )

  api.post(
    '/projects/:id/protected_branches',
    {
      schema: {
        summary: 'protect a branch of one repository (its admins, and administrators who see it)',
        tags,
        params,
        body: Type.Object({
          name: Type.String({ maxLength: 1_000, description: 'a branch, or a pattern such as release/*' }),
          push_access_level: Type.Optional(
            Type.Unsafe<number>({
              type: 'integer',
              enum: [0, 30, 40],
              description: 'who may push: 0 nobody, 30 whoever may write, 40 admins (the default)',
            }),
          ),
          allow_force_push: Type.Optional(Type.Boolean({ description: 'whether those may force, too' })),
        }),
        response: answers(ProtectedBranchAnswer, 201),
      },
    },
    async (request, reply) => {
      const { caller } = request
      const { path_with_namespace: path, permissions } = await requireProject(caller, request.params.id)
      if (!caller.account.admin && permissions.project_access.access_level < 40) throw forbidden()
      const { name, push_access_level: level = 40, allow_force_push: mayForce = false } = request.body
      const push = levelOf(level)
      const protection = await options.protections.put(
        caller.auditContext,
        parseProtection(path, name, { push, force: mayForce ? push : 'nobody', delete: 'nobody' }),
        access.now(),
      )
      return await reply.status(201).send(protectedBranch(protection))
    },
  )

  api.delete(
    '/projects/:id/protected_branches/:name',
    {
      schema: {
        summary: "end the protection of a branch (the repository's admins, and administrators who see it)",
        tags,
        response: nothing,
        params: Type.Object({ id: params.properties.id, name: Name }),
      },
    },
    async (request, reply) => {
      const { caller } = request
      const { path_with_namespace: path, permissions } = await requireProject(caller, request.params.id)
      if (!caller.account.admin && permissions.project_access.access_level < 40) throw forbidden()
      const wanted = `refs/heads/${request.params.name}`
      const found = (await ofProject(path)).find(({ refs }) => refs === wanted || refs === request.params.name)
      if (found === undefined) throw notFound()
      await options.protections.remove(caller.auditContext, path, found.refs)
      return await reply.status(204).send()
    },
  )
}

/** GitLab's access levels for pushes to a protected branch. */
const LEVELS: Readonly<Record<ProtectionLevel, number>> = { nobody: 0, write: 30, admin: 40 }

function levelOf(number: number): ProtectionLevel {
  return number === 0 ? 'nobody' : number === 30 ? 'write' : 'admin'
}
