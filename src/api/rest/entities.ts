import { hash } from 'node:crypto'
import type { Role } from '../../domain/access/grant.js'
import type { Account } from '../../domain/accounts/account.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** An account as all accounts see it (GitLab's API: users). */
export function userEntity({ id, username, name, state }: Account, baseUrl: string) {
  return { id, username, name, state, locked: false, avatar_url: null, web_url: `${baseUrl}/${username}` }
}

/** An account as itself and administrators see it. Administrators also see who is one. */
export function fullUserEntity(account: Account, viewer: Account, baseUrl: string) {
  return {
    ...userEntity(account, baseUrl),
    created_at: account.createdAt.toISOString(),
    email: account.email,
    commit_email: account.email,
    public_email: null,
    two_factor_enabled: account.twoFactorEnabled,
    can_create_group: false,
    can_create_project: true,
    external: false,
    bot: false,
    ...(viewer.admin ? { is_admin: account.admin } : {}),
  }
}

/** GitLab's access levels of members. */
const ACCESS_LEVELS: Readonly<Record<Role, number>> = { read: 20, write: 30, admin: 40 }

/** A repository as GitLab shows a project. */
export function projectEntity(path: RepositoryPath, role: Role, baseUrl: string) {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const namespace = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
  return {
    id: projectId(path),
    name,
    name_with_namespace: path.split('/').join(' / '),
    path: name,
    path_with_namespace: path,
    namespace: { name: namespace, path: namespace, full_path: namespace, kind: 'group' },
    default_branch: null,
    visibility: 'private',
    http_url_to_repo: `${baseUrl}/${path}.git`,
    web_url: `${baseUrl}/${path}`,
    permissions: { project_access: { access_level: ACCESS_LEVELS[role], notification_level: 3 }, group_access: null },
  }
}

/**
 * The ID of a repository. Clients need a number, but repositories are folders, so it is derived from the path: 48 bits of
 * its SHA-256, which fit into a JavaScript number.
 */
function projectId(path: RepositoryPath): number {
  return Number.parseInt(hash('sha256', path, 'hex').slice(0, 12), 16)
}
