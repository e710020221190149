import { AccessibleRepositories } from '../../domain/access/accessible-repositories.js'
import type { Caller } from './caller.js'
import { projectEntity } from './entities.js'
import type { ApiOptions } from './api-options.js'

/**
 * Lists the repositories that a caller can see, as projects.
 *
 * @param minLevel one of GitLab's access levels; repositories with less access are left out
 */
export async function visibleProjects(options: ApiOptions, { account, token }: Caller, minLevel = 0) {
  const projects: ReturnType<typeof projectEntity>[] = []
  const { grants } = await options.access.accessOf(account)
  const accessible = new AccessibleRepositories(await options.listRepositories(), grants)
  await accessible.prepare(token.restrictions)
  for (const { path, role } of accessible.list(account.username, token.restrictions))
    projects.push(projectEntity(path, role, options.baseUrl()))
  return projects.filter(({ permissions }) => permissions.project_access.access_level >= minLevel)
}
