import type { Operation } from './api-calls.js'
import { bad, call, missing } from './api-calls.js'

const APP = '/projects/team%2Fapp'

/** Calls about repositories, rights and the audit log, by their method and path in the OpenAPI document. */
export const REPOSITORY_OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /projects': {
    path: '/projects?search=app&per_page=1',
    as: 'alice',
    refusals: [bad('/projects?min_access_level=all'), call('who sees none', '/projects', undefined, 'mallory')],
  },
  'GET /projects/{id}': {
    path: APP,
    as: 'alice',
    refusals: [missing('/projects/team%2Fmissing'), call('who may not see it', APP, undefined, 'mallory')],
  },
  'POST /projects/{id}/protected_branches': {
    path: `${APP}/protected_branches`,
    as: 'alice',
    body: { name: 'release/*', push_access_level: 30, allow_force_push: true },
    refusals: [
      bad(`${APP}/protected_branches`, {}, 'alice'),
      bad(`${APP}/protected_branches`, { name: 'main', push_access_level: 35 }, 'alice'),
      bad(`${APP}/protected_branches`, { name: 'a..b' }, 'alice'),
      missing('/projects/team%2Fmissing/protected_branches', { name: 'main' }, 'alice'),
      call("not as the repository's admin", '/projects/team%2Flib/protected_branches', { name: 'main' }, 'alice'),
    ],
  },
  'GET /projects/{id}/protected_branches': {
    path: `${APP}/protected_branches`,
    as: 'alice',
    refusals: [missing('/projects/team%2Fmissing/protected_branches', undefined, 'alice')],
  },
  'DELETE /projects/{id}/protected_branches/{name}': {
    path: `${APP}/protected_branches/release%2F*`,
    as: 'alice',
    refusals: [missing(`${APP}/protected_branches/nothing`, undefined, 'alice')],
  },

  'POST /gitgate/grants': {
    path: '/gitgate/grants',
    body: { subject: '@all', role: 'read', pattern: 'docs/**' },
    admin: true,
    refusals: [
      bad('/gitgate/grants', {}),
      bad('/gitgate/grants', { subject: 'alice', role: 'own', pattern: '**' }),
      bad('/gitgate/grants', { subject: 'nobody', role: 'read', pattern: '**' }),
      bad('/gitgate/grants', { subject: '@everyone', role: 'read', pattern: '**' }),
      bad('/gitgate/grants', { subject: '@anonymous', role: 'write', pattern: '**' }),
      bad('/gitgate/grants', { subject: 'alice', role: 'read', pattern: 'team/[ab]' }),
    ],
  },
  'GET /gitgate/grants': { path: '/gitgate/grants?per_page=2', admin: true, refusals: [bad('/gitgate/grants?page=x')] },
  'DELETE /gitgate/grants': {
    path: '/gitgate/grants?subject=@all&pattern=docs/**',
    admin: true,
    refusals: [bad('/gitgate/grants'), missing('/gitgate/grants?subject=mallory&pattern=docs/**')],
  },
  'POST /gitgate/protected_refs': {
    path: '/gitgate/protected_refs',
    body: { repositories: 'team/**', refs: 'refs/tags/v*', push: 'write', force: 'admin' },
    admin: true,
    refusals: [
      bad('/gitgate/protected_refs', { repositories: 'team/**' }),
      bad('/gitgate/protected_refs', { repositories: 'team/[ab]', refs: 'main' }),
      bad('/gitgate/protected_refs', { repositories: 'team/**', refs: 'a..b' }),
      bad('/gitgate/protected_refs', { repositories: 'team/**', refs: 'main', push: 'everybody' }),
    ],
  },
  'GET /gitgate/protected_refs': { path: '/gitgate/protected_refs', admin: true },
  'DELETE /gitgate/protected_refs': {
    path: '/gitgate/protected_refs?repositories=team/**&refs=refs/tags/v*',
    admin: true,
    refusals: [bad('/gitgate/protected_refs'), missing('/gitgate/protected_refs?repositories=team/**&refs=nothing')],
  },

  'GET /gitgate/audit_events': {
    // Those before the first request; events of requests are written a moment later.
    path: '/gitgate/audit_events?before=6&limit=4',
    admin: true,
    refusals: [
      bad('/gitgate/audit_events?action=nothing'),
      bad('/gitgate/audit_events?decision=perhaps'),
      bad('/gitgate/audit_events?limit=1001'),
      bad('/gitgate/audit_events?since=yesterday'),
    ],
  },
  'GET /gitgate/audit_head': { path: '/gitgate/audit_head', admin: true },
  'GET /gitgate/audit_verification': {
    path: '/gitgate/audit_verification',
    admin: true,
    refusals: [bad('/gitgate/audit_verification?id=1'), bad('/gitgate/audit_verification?id=1&hash=x')],
  },
}
