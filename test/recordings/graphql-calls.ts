/** A GraphQL request to record. */
export type Query = {
  readonly title: string
  readonly as?: string
  readonly query: string
  readonly variables?: object
}

const TOKEN =
  'id name description granular revoked active scopes repositories refs lastUsedIps lastUsedAt createdAt expiresAt'
const CREATE = `mutation($input: PersonalAccessTokenCreateInput!) { personalAccessTokenCreate(input: $input) { clientMutationId token personalAccessToken { ${TOKEN} } errors } }`
const ROTATE = `mutation($input: PersonalAccessTokenRotateInput!) { personalAccessTokenRotate(input: $input) { clientMutationId token personalAccessToken { ${TOKEN} } errors } }`
const REVOKE =
  'mutation($input: PersonalAccessTokenRevokeInput!) { personalAccessTokenRevoke(input: $input) { clientMutationId errors } }'
const gid = (id: number): string => `gid://gitlab/PersonalAccessToken/${id}`

/** Every query and mutation; `as` is a token of the test, alice's by default, and none for `nobody`. */
export const QUERIES: readonly Query[] = [
  { title: 'without a token', as: 'nobody', query: '{ currentUser { username } metadata { version } }' },
  { title: 'with a token of another scope', as: 'narrow', query: '{ currentUser { username } }' },
  { title: 'with a revoked token', as: 'revoked', query: '{ currentUser { username } }' },
  {
    title: 'the account and the version',
    query: '{ currentUser { id username name state webUrl } metadata { version revision enterprise } }',
  },
  {
    title: 'a page of tokens',
    query: `{ currentUser { personalAccessTokens(first: 2, sort: CREATED_ASC, state: ACTIVE) { count nodes { ${TOKEN} } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`,
  },
  { title: 'a bound that is no date', query: '{ currentUser { personalAccessTokens(createdAfter: "x") { count } } }' },
  { title: 'a cursor that is none', query: '{ currentUser { personalAccessTokens(after: "x") { count } } }' },
  { title: 'no entries', query: '{ currentUser { personalAccessTokens(first: 0) { count } } }' },
  {
    title: 'create a token',
    query: CREATE,
    variables: {
      input: { clientMutationId: 'one', name: 'agent', scopes: ['read_repository'], repositories: ['team/app'] },
    },
  },
  {
    title: 'create a token: bad input',
    query: CREATE,
    variables: { input: { name: ' ', scopes: ['read_repository'] } },
  },
  { title: 'create a token: missing input', query: CREATE, variables: { input: { name: 'agent' } } },
  {
    title: 'create a token: a scope that the presented token lacks',
    query: CREATE,
    variables: { input: { name: 'agent', scopes: ['sudo'] } },
  },
  {
    title: 'create a token: with a derived token',
    as: 'derived',
    query: CREATE,
    variables: { input: { name: 'agent', scopes: ['read_repository'] } },
  },
  {
    title: 'rotate a token',
    query: ROTATE,
    variables: { input: { clientMutationId: 'two', id: gid(3), expiresAt: '2026-03-20' } },
  },
  { title: 'rotate a token: a revoked one', query: ROTATE, variables: { input: { id: gid(3) } } },
  { title: 'rotate a token: of another account', query: ROTATE, variables: { input: { id: gid(2) } } },
  { title: 'revoke a token', query: REVOKE, variables: { input: { clientMutationId: 'three', id: gid(4) } } },
  { title: 'revoke a token: not found', query: REVOKE, variables: { input: { id: gid(99) } } },
  { title: 'a syntax error', query: '{ nothing' },
  { title: 'an unknown field', query: '{ nothing }' },
  {
    title: 'too many fields',
    query:
      '{ ...a } fragment a on Query { ...b ...b ...b ...b } fragment b on Query { ...c ...c ...c ...c } fragment c on Query { ...d ...d ...d ...d } fragment d on Query { metadata { version revision } }',
  },
  { title: 'a query that is none', query: '' },
]
