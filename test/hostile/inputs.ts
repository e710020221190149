// What an attacker sends, route by route: bytes for one connection each.

export const ROUTES = {
  'Git advertisement': 'GET /alice/app.git/info/refs',
  'Git fetch': 'POST /alice/app.git/git-upload-pack',
  'Git push': 'POST /alice/app.git/git-receive-pack',
  REST: 'POST /api/v4/users',
  'REST, unknown path': 'POST /api/v4/unknown',
  GraphQL: 'POST /api/graphql',
  'sign-in': 'POST /users/sign_in',
  'second factor': 'POST /users/sign_in/two_factor',
  page: 'POST /-/user_settings/personal_access_tokens',
  'unknown path': 'POST /unknown',
  health: 'GET /-/health',
} as const

export type Route = keyof typeof ROUTES

/** What is sent of each kind of input; a text where another test file attacks by that kind. */
export type Input = { readonly perRoute: (route: Route) => readonly string[] } | { readonly elsewhere: string }

const FORMS = [
  'a[]&'.repeat(65_500),
  'a&'.repeat(131_000),
  'a[0]=1&'.repeat(37_000),
  `a${'['.repeat(262_000)}`,
  '%5B'.repeat(87_000),
]
const JSONS = [
  '['.repeat(262_000),
  `[${'['.repeat(130_000)}${']'.repeat(130_000)}]`,
  `{"scopes":[${'1,'.repeat(130_000)}1]}`,
  `{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":1`).join()},"name":"${'\\u005f'.repeat(1_000)}"}`,
  `{"query":"{a(b:${'['.repeat(9_000)}"}`,
]
const QUERIES = [
  'a[]&'.repeat(7_000),
  'a&'.repeat(14_000),
  '&'.repeat(28_000),
  `a${'['.repeat(28_000)}=1`,
  '%5B'.repeat(9_000),
]
const HEADERS = [
  `Cookie: ${'a=b;'.repeat(7_000)}`,
  `X-Forwarded-For: ${'1.1.1.1,'.repeat(3_500)}`,
  `Authorization: Basic ${'A'.repeat(28_000)}`,
  `Authorization: Bearer ${' '.repeat(28_000)}`,
  `Accept-Encoding: ${'gzip;q=0,'.repeat(3_000)}`,
  `Accept: ${'text/html,'.repeat(2_800)}`,
  'A: b\r\n'.repeat(4_000).trimEnd(),
]
const repeat = (count: number, part: (index: number) => string): string =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ')
const DOCUMENTS = [
  `{ metadata { version } } fragment f on CurrentUser { ${'id '.repeat(2_400)} }`,
  `{ metadata { version } } ${repeat(40, (i) => `fragment f${i} on Query { ${'currentUser { id } '.repeat(10)} }`)}`,
  repeat(190, (i) => `fragment f${i} on Query { ...f${(i + 1) % 190} ...f${(i + 2) % 190} }`),
  `{ currentUser { ${repeat(100, () => `personalAccessTokens(search: [${'1 '.repeat(30)}]) { count }`)} } }`,
  `query(${repeat(900, (i) => `$v${i}: Int`)}) { metadata { version } }`,
]
const SMALL = 'GET / HTTP/1.1\r\nHost:\r\n\r\n'

const withBody = (type: string, bodies: readonly string[]) => ({
  perRoute: (route: Route): readonly string[] =>
    bodies.map((body) => message(route, [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`], body)),
})

/** Each kind of input, for each route. */
export const INPUTS: Readonly<Record<string, Input>> = {
  query: { perRoute: (route) => QUERIES.map((query) => message(route, [], '', `?${query}`)) },
  form: withBody('application/x-www-form-urlencoded', FORMS),
  JSON: withBody('application/json', JSONS),
  multipart: withBody('multipart/form-data; boundary=x', [`--x\r\n\r\n`.repeat(30_000)]),
  'GraphQL document': withBody(
    'application/json',
    DOCUMENTS.map((query) => JSON.stringify({ query })),
  ),
  headers: { perRoute: (route) => HEADERS.map((header) => message(route, [header])) },
  'pipelined requests': { perRoute: (route) => [message(route) + SMALL.repeat(50_000), message(route).repeat(10_000)] },
  'pkt-lines': {
    perRoute: (route) =>
      ['0004'.repeat(60_000), '0000'.repeat(60_000), 'ffff'.repeat(60_000), '0032want '.repeat(25_000)].map((body) =>
        message(
          route,
          [`Content-Type: application/x-${ROUTES[route].split('/').at(-1)}-request`, `Content-Length: ${body.length}`],
          body,
        ),
      ),
  },
  'chunks of one byte': {
    perRoute: (route) => [
      message(
        route,
        [`Content-Type: application/x-${ROUTES[route].split('/').at(-1)}-request`, 'Transfer-Encoding: chunked'],
        Array.from(`fff0${'x'.repeat(65_000)}`, (byte) => `1\r\n${byte}\r\n`).join(''),
      ),
    ],
  },
  'half-sent requests': { elsewhere: 'half-sent requests, below' },
  patterns: { elsewhere: 'accounts.test.ts; the places where they are written: security/pattern-places.test.ts' },
  protections: { elsewhere: 'accounts.test.ts' },
  'compressed pack': { elsewhere: 'accounts.test.ts' },
  'response that is not read': { elsewhere: 'accounts.test.ts' },
  passwords: { elsewhere: 'accounts.test.ts' },
  addresses: { elsewhere: 'accounts.test.ts' },
  TLS: { elsewhere: 'tls.test.ts' },
}

/** A request as it goes over the wire. */
export function message(route: Route, headers: readonly string[] = [], body = '', query = ''): string {
  const lines = [`${ROUTES[route]}${query} HTTP/1.1`, 'Host: x', 'Accept: text/html', ...headers]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/** The same request, by somebody who is authenticated. */
export function withToken(bytes: string, token: string): string {
  return bytes.replace(
    'Host: x',
    `Host: x\r\nPRIVATE-TOKEN: ${token}\r\nAuthorization: Basic ${Buffer.from(`x:${token}`).toString('base64')}`,
  )
}
