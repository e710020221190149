import fc from 'fast-check'
import { connect } from 'node:net'
import type { Test } from 'tap'
import { basic } from '../acceptance/http-client.js'
import { within } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'
import { bodyOf, COMMANDS, httpUpstream } from '../git/upstream/stand-in.js'

/** One request of many on a connection, in parts that are put together as they are. */
type Message = {
  readonly method: string
  /** What stands before the path. */
  readonly before: string
  readonly group: (typeof GROUPS)[number]
  readonly service: 'git-upload-pack' | 'git-receive-pack'
  readonly isAdvertisement: boolean
  readonly version: string
  readonly credential: 'none' | 'right' | 'wrong'
  readonly framing: (typeof FRAMINGS)[number]
  readonly headers: readonly string[]
  readonly lineEnd: string
}

// Alice may write in `team`, everybody may read in `public`, nobody gets into `secret`.
const GROUPS = ['team', 'public', 'secret'] as const
/** How a body is delimited, with a request within it: as it says, or otherwise. */
const FRAMINGS = [
  ...['length', 'chunked', 'none'],
  ...[
    'short length',
    'long length',
    'two lengths',
    'length and chunked',
    'signed length',
    'broken chunks',
    'odd coding',
  ],
] as const
const HONEST: readonly string[] = ['length', 'chunked', 'none']
const WANT = `0032want ${'1'.repeat(40)}\n00000009done\n`
// The gate closes the connection once it has answered all.
const LAST = 'GET /-/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
const HEADERS = [
  ...['Host: y', 'Expect: 100-continue', 'Expect: x', 'Connection: keep-alive', 'Connection: close, Authorization'],
  ...[
    'Upgrade: h2c',
    'X-Forwarded-User: root',
    'X_Forwarded_User: root',
    'X-HTTP-Method-Override: GET',
    'X-Original-URL: /secret/x.git',
  ],
  ...[
    'Authorization: Basic x',
    ' folded: x',
    'Name : x',
    'No colon',
    ': x',
    'A: \0',
    'Content-Encoding: gzip',
    'Git-Protocol: version=2',
  ],
]
const message: fc.Arbitrary<Message> = fc.record({
  method: oftenFirst('', 'HEAD', 'PUT', 'get', 'GET ', '\r\nGET', 'PRI'),
  before: oftenFirst('', 'http://x', 'http://secret@x', '/', '//x', '/.', '/secret/..', '%2f', '\t', '*'),
  group: fc.constantFrom('team', ...GROUPS),
  service: fc.constantFrom('git-upload-pack' as const, 'git-receive-pack' as const),
  isAdvertisement: fc.boolean(),
  version: oftenFirst('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1 ', ''),
  credential: fc.constantFrom('none', 'right', 'right', 'right', 'wrong'),
  framing: fc.oneof(
    { arbitrary: fc.constantFrom('length' as const, 'chunked' as const), weight: 2 },
    fc.constantFrom(...FRAMINGS),
  ),
  headers: fc.oneof({ arbitrary: fc.constant<string[]>([]), weight: 2 }, fc.subarray(HEADERS, { maxLength: 3 })),
  lineEnd: oftenFirst('\r\n', '\n', '\r'),
})

function oftenFirst(first: string, ...others: string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { arbitrary: fc.constant(first), weight: 15 * others.length },
    ...others.map((other) => fc.constant(other)),
  )
}

/**
 * Sends generated requests, several on a connection, right and wrong, to a gate before a server, and asserts what reaches that
 * server: nothing that the gate refuses, nothing that stands in the body of another request, nothing twice, and nobody's name but
 * that of whoever the credential belongs to.
 *
 * @returns how many requests reached it
 */
export async function checkRawRequests(t: Test, numRuns: number, seed: number): Promise<number> {
  const reached: { readonly what: string; readonly user: string | undefined }[] = []
  const kind = await httpUpstream(t, (request, response) => {
    void bodyOf(request)
      .catch(() => '')
      .then(() => {
        const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
        const service = searchParams.get('service') ?? pathname.replace(/.*\//, '')
        reached.push({
          what: `${request.method ?? ''} ${request.url ?? ''}`,
          user: request.headers['x-forwarded-user']?.toString(),
        })
        const isAdvertisement = pathname.endsWith('/info/refs')
        response.setHeader('Content-Type', `application/x-${service}-${isAdvertisement ? 'advertisement' : 'result'}`)
        response.end(isAdvertisement ? `001e# service=${service}\n0000`.slice(0, 34) : '0008NAK\n')
      })
  })
  const world = await createWorld(t, {}, kind)
  await world.grant('alice', 'write', 'team/**')
  await world.grant('@anonymous', 'read', 'public/**')
  const token = await world.token('alice', 'write_repository')
  // Names are new in each run, so that a request that arrives late is told from one that should not arrive.
  const allowed = new Map<string, string | undefined>()
  const known = new Set<string>()
  let runs = 0

  const isHonest = async (messages: readonly Message[], cuts: readonly number[]): Promise<boolean> => {
    const run = runs++
    const bytes = messages.map((message, index) => encode(message, `r${run}x${index}`, token)).join('')
    for (const [index, message] of messages.entries())
      for (const [what, user] of expected(message, `r${run}x${index}`)) allowed.set(what, user)
    const isEndless = messages.some(({ framing }) => framing === 'long length')
    await send(world.url, pieces(Buffer.from(bytes + LAST, 'latin1'), cuts), isEndless)
    return reached.splice(0).every(({ what, user }) => {
      const isFirst = !known.has(what)
      known.add(what)
      return isFirst && allowed.has(what) && (user === undefined || user === allowed.get(what))
    })
  }
  const property = fc.asyncProperty(
    fc.array(message, { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(2_000), { maxLength: 3 }),
    isHonest,
  )
  await fc.assert(property, { numRuns, seed })
  return known.size
}

/** The request lines at an upstream, and as whom, for a message that may reach it; also of what an ill-framed one may hide. */
function expected(
  { group, service, isAdvertisement, credential, framing }: Message,
  name: string,
): [string, string | undefined][] {
  // Before a body, the gate asks how the folder is spelt.
  const lines = (path: string) =>
    isAdvertisement
      ? [`GET /${path}.git/info/refs?service=${service}`]
      : [`GET /${path}.git/info/refs?service=git-upload-pack`, `POST /${path}.git/${service}`]
  const isAllowed =
    (group === 'team' && credential === 'right') || (group === 'public' && service === 'git-upload-pack')
  // A body that is longer than it says goes on as a request.
  const hidden: [string, string | undefined][] = HONEST.includes(framing)
    ? []
    : [[`GET /team/hidden-${name}.git/info/refs?service=git-upload-pack`, 'alice']]
  const own: [string, string | undefined][] = isAllowed
    ? lines(`${group}/${name}`).map((line) => [line, credential === 'right' ? 'alice' : undefined])
    : []
  return [...own, ...hidden]
}

function encode(it: Message, name: string, token: string): string {
  const { before, group, service, isAdvertisement, version, credential, headers, lineEnd } = it
  const path = `/${group}/${name}.git/${isAdvertisement ? `info/refs?service=${service}` : service}`
  const method = it.method.trim() === '' ? (isAdvertisement ? 'GET' : 'POST') : it.method
  const secret = { none: undefined, right: token, wrong: `${token}x` }[credential]
  const authorization = secret === undefined ? [] : [`Authorization: ${basic('x', secret)}`]
  const hidden = [
    `GET /team/hidden-${name}.git/info/refs?service=git-upload-pack HTTP/1.1`,
    'Host: x',
    `Authorization: ${basic('x', token)}`,
    '\r\n',
  ].join('\r\n')
  const body = isAdvertisement ? hidden : `${service === 'git-receive-pack' ? COMMANDS : WANT}${hidden}`
  const { lines, text } = frame(it.framing, body)
  const type = `Content-Type: application/x-${service}-request`
  const head = [
    `${method} ${before}${path} ${version}`,
    'Host: x',
    type,
    ...authorization,
    ...headers,
    ...lines,
    '',
    '',
  ]
  return head.join(lineEnd) + text
}

/** The headers and bytes of a body. */
function frame(framing: Message['framing'], body: string): { lines: readonly string[]; text: string } {
  const length = (bytes: number | string) => `Content-Length: ${bytes}`
  const chunked = 'Transfer-Encoding: chunked'
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  switch (framing) {
    case 'length':
      return { lines: [length(body.length)], text: body }
    case 'chunked':
      return { lines: [chunked], text: chunks }
    case 'none':
      return { lines: [], text: '' }
    case 'short length':
      return { lines: [length(4)], text: body }
    case 'long length':
      return { lines: [length(body.length + 1_000)], text: body }
    case 'two lengths':
      return { lines: [length(4), length(body.length)], text: body }
    case 'length and chunked':
      return { lines: [length(4), chunked], text: chunks }
    case 'signed length':
      return { lines: [length(`+${body.length}`)], text: body }
    case 'broken chunks':
      return { lines: [chunked], text: chunks.replace('\r\n', ';x=\n') }
    case 'odd coding':
      return { lines: ['Transfer-Encoding: x, chunked', 'Transfer-Encoding: identity'], text: chunks }
  }
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

/** Sends bytes in pieces, and waits until the gate has answered what it answers. @param isEndless whether it would wait for more */
async function send(url: string, pieces: readonly Buffer[], isEndless: boolean): Promise<void> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true })
  let isClosed = false
  socket.on('error', () => undefined)
  socket.on('close', () => (isClosed = true))
  socket.resume()
  for (const piece of pieces) await new Promise((done) => socket.write(piece, done))
  if (isEndless) socket.end()
  await within(500, () => isClosed)
  socket.destroy()
}
