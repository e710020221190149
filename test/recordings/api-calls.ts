/** A call to record: who makes it, where it goes and what it sends. */
export type Call = {
  /** What the recording calls it. */
  readonly title: string
  /** Whose token it carries, by its name in the test. @default 'root' */
  readonly as?: string
  readonly path: string
  /** Sent as JSON; a text as it is. */
  readonly body?: object | string
  readonly headers?: Readonly<Record<string, string>>
}

/** How an operation of the REST API is recorded: the usual refusals, its own, and a call that succeeds. */
export type Operation = Omit<Call, 'title'> & {
  /** Only administrators may call it. */
  readonly admin?: true
  /** It asks for no scope. */
  readonly anyScope?: true
  readonly refusals?: readonly Call[]
}

export const bad = (path: string, body?: object, as?: string): Call => call('bad input', path, body, as)
export const missing = (path: string, body?: object, as?: string): Call => call('not found', path, body, as)

export function call(title: string, path: string, body?: object, as?: string): Call {
  return { title, path, ...(body === undefined ? {} : { body }), ...(as === undefined ? {} : { as }) }
}

const HELP = { name: 'help', scopes: ['read_repository'] }

/**
 * Calls about the instance, accounts and tokens, by their method and path in the OpenAPI document, in an order in which each finds what it needs: alice is
 * account 1, root 2, mallory 3, carol 4 is added here; tokens 1 to 10 are the test's.
 */
export const ACCOUNT_OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /version': { path: '/version' },
  'GET /metadata': { path: '/metadata' },
  'GET /application/settings': { path: '/application/settings', admin: true },
  'PUT /application/settings': {
    path: '/application/settings',
    body: { max_personal_access_token_lifetime: 400 },
    admin: true,
    refusals: [
      bad('/application/settings', { max_personal_access_token_lifetime: 'long' }),
      bad('/application/settings', { git_basic_auth_ip_allowlist: ['10.0.0.0/33'] }),
      bad('/application/settings', ['push_to_create']),
    ],
  },

  'GET /user': { path: '/user', as: 'alice' },
  'POST /users': {
    path: '/users',
    body: { username: 'carol', name: 'Carol C.', email: 'carol@example.com', password: 'correct horse battery' },
    admin: true,
    refusals: [
      bad('/users', {}),
      bad('/users', { username: 'api' }),
      bad('/users', { username: 'team' }),
      bad('/users', { username: 'dave', email: 'nowhere' }),
      bad('/users', { username: 'dave', password: 'short' }),
      bad('/users', { username: 'dave', admin: 'maybe' }),
      call('conflict', '/users', { username: 'alice' }),
      call('conflict', '/users', { username: 'dave', email: 'ALICE@example.com' }),
    ],
  },
  'GET /users': {
    path: '/users?per_page=2&page=2',
    refusals: [bad('/users?active=maybe'), call('as another account', '/users?username=root', undefined, 'alice')],
  },
  'GET /users/{id}': { path: '/users/4', refusals: [bad('/users/carol'), missing('/users/99')] },
  'POST /users/{id}/block': { path: '/users/4/block', admin: true, refusals: [missing('/users/99/block')] },
  'POST /users/{id}/unblock': { path: '/users/4/unblock', admin: true, refusals: [missing('/users/99/unblock')] },

  'POST /users/{user_id}/personal_access_tokens': {
    path: '/users/4/personal_access_tokens',
    body: {
      name: 'ci',
      description: 'for CI',
      expires_at: '2026-04-01',
      scopes: ['write_repository'],
      repositories: ['team/*'],
      refs: ['agent/*:create,update'],
      max_pushes: 3,
      max_push_bytes: 1_000_000,
    },
    admin: true,
    refusals: [
      bad('/users/4/personal_access_tokens', { scopes: ['api'] }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: [] }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['everything'] }),
      bad('/users/4/personal_access_tokens', { name: ' ', scopes: ['api'] }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], expires_at: '2026-02-30' }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], expires_at: '2020-01-01' }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], expires_at: '2029-01-01' }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], repositories: ['team/[ab]'] }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], refs: ['main:burn'] }),
      bad('/users/4/personal_access_tokens', { name: 'ci', scopes: ['api'], max_pushes: 0 }),
      missing('/users/99/personal_access_tokens', HELP),
    ],
  },
  'POST /user/personal_access_tokens': {
    path: '/user/personal_access_tokens',
    as: 'alice',
    body: { name: 'agent', scopes: ['read_repository'], repositories: ['team/app'], max_pushes: 1 },
    refusals: [
      bad('/user/personal_access_tokens', {}, 'alice'),
      bad('/user/personal_access_tokens', { scopes: ['api'] }, 'alice'),
      bad('/user/personal_access_tokens', { scopes: ['read_repository'], expires_at: 'soon' }, 'alice'),
      call('a derived token', '/user/personal_access_tokens', { scopes: ['read_repository'] }, 'derived'),
    ],
  },
  'GET /personal_access_tokens': {
    path: '/personal_access_tokens?user_id=4&state=active&sort=expires_asc',
    refusals: [
      bad('/personal_access_tokens?state=gone'),
      bad('/personal_access_tokens?sort=by_name'),
      bad('/personal_access_tokens?created_after=yesterday'),
      missing('/personal_access_tokens?user_id=99'),
      call('of another account', '/personal_access_tokens?user_id=2', undefined, 'alice'),
    ],
  },
  'GET /personal_access_tokens/self': { path: '/personal_access_tokens/self', as: 'alice', anyScope: true },
  'GET /personal_access_tokens/self/associations': {
    path: '/personal_access_tokens/self/associations?min_access_level=30',
    as: 'alice',
    anyScope: true,
    refusals: [bad('/personal_access_tokens/self/associations?min_access_level=all')],
  },
  'GET /personal_access_tokens/{id}': {
    path: '/personal_access_tokens/1',
    as: 'alice',
    refusals: [
      bad('/personal_access_tokens/first'),
      missing('/personal_access_tokens/99'),
      call('of another account', '/personal_access_tokens/2', undefined, 'alice'),
    ],
  },
  'POST /personal_access_tokens/{id}/rotate': {
    path: '/personal_access_tokens/4/rotate',
    body: { expires_at: '2026-03-20', grace: '24h' },
    refusals: [
      bad('/personal_access_tokens/4/rotate', { grace: 'long' }),
      bad('/personal_access_tokens/4/rotate', { expires_at: 'soon' }),
      missing('/personal_access_tokens/99/rotate', {}),
      call('of another account', '/personal_access_tokens/2/rotate', {}, 'alice'),
      call('itself with grace', '/personal_access_tokens/1/rotate', { grace: '1h' }, 'alice'),
      call('a revoked token', '/personal_access_tokens/7/rotate', {}),
    ],
  },
  'POST /personal_access_tokens/self/rotate': {
    path: '/personal_access_tokens/self/rotate',
    as: 'rotating',
    body: {},
    refusals: [bad('/personal_access_tokens/self/rotate', { expires_at: 'soon' }, 'rotating')],
  },
  'DELETE /personal_access_tokens/{id}': {
    path: '/personal_access_tokens/4',
    refusals: [
      bad('/personal_access_tokens/fourth'),
      missing('/personal_access_tokens/99'),
      call('of another account', '/personal_access_tokens/2', undefined, 'alice'),
    ],
  },
  'DELETE /personal_access_tokens/self': { path: '/personal_access_tokens/self', as: 'ending', anyScope: true },

  'POST /users/{user_id}/impersonation_tokens': {
    path: '/users/4/impersonation_tokens',
    body: HELP,
    admin: true,
    refusals: [
      bad('/users/4/impersonation_tokens', { name: 'help' }),
      bad('/users/4/impersonation_tokens', { name: ' ', scopes: ['api'] }),
      bad('/users/4/impersonation_tokens', { name: 'help', scopes: ['api'], expires_at: '2020-01-01' }),
      missing('/users/99/impersonation_tokens', HELP),
    ],
  },
  'GET /users/{user_id}/impersonation_tokens': {
    path: '/users/4/impersonation_tokens?state=active',
    admin: true,
    refusals: [bad('/users/4/impersonation_tokens?state=gone'), missing('/users/99/impersonation_tokens')],
  },
  'GET /users/{user_id}/impersonation_tokens/{impersonation_token_id}': {
    path: '/users/4/impersonation_tokens/15',
    admin: true,
    refusals: [missing('/users/4/impersonation_tokens/1'), missing('/users/99/impersonation_tokens/15')],
  },
  'DELETE /users/{user_id}/impersonation_tokens/{impersonation_token_id}': {
    path: '/users/4/impersonation_tokens/15',
    admin: true,
    refusals: [
      missing('/users/4/impersonation_tokens/1'),
      {
        title: 'changed since',
        path: '/users/4/impersonation_tokens/15',
        headers: { 'If-Unmodified-Since': 'Sun, 01 Mar 2026 00:00:00 GMT' },
      },
    ],
  },
}
