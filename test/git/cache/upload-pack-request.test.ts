// Parsing requests to upload-pack: real ones, and similar ones that must be uncacheable.
import t from 'tap'
import { advertisementKey } from '../../../src/git/cache/cache-key.js'
import { MAX_BODY_BYTES, parseUploadPackRequest } from '../../../src/git/cache/upload-pack-request.js'
import { VERSION_0 } from './captured-v0.js'
import { VERSION_2 } from './captured-v2.js'
import { ask, describe, encode, keyIn, MAIN, SIDE, TAG } from './captured.js'

const FETCH = `command=fetch|agent=git/2.39.5|object-format=sha1|0001|ofs-delta|want ${MAIN}|have ${SIDE}|done|0000`
const REFS = 'command=ls-refs|object-format=sha1|0001|peel|ref-prefix refs/heads/|0000'
const PLAIN = `want ${MAIN} side-band-64k ofs-delta agent=x|want ${SIDE}|0000|have ${TAG}|done`
const OTHER = 'f'.repeat(40)
const LONG = 'a'.repeat(64)

t.test('the requests of real clients are understood', async (t) => {
  for (const version of [0, 1, 2]) {
    for (const { client, asks, packets } of version === 2 ? VERSION_2 : VERSION_0) {
      t.equal(describe(ask(packets, version)), asks, `${client}, version ${version}`)
    }
  }
})

t.test('different requests of real clients have different keys', async (t) => {
  const owners = new Map<string, string>()
  for (const version of [0, 1, 2]) {
    for (const { client, packets } of version === 2 ? VERSION_2 : VERSION_0) {
      const key = keyIn(ask(packets, version))
      // The same clone by a client that sends a session ID.
      if (key === 'uncacheable' || client.includes('session-id')) continue
      t.match(key, /^[0-9a-f]{64}$/)
      t.equal(owners.get(key), undefined, `${client}, version ${version}`)
      owners.set(key, client)
    }
  }
})

t.test('the client’s name isn’t part of the key', async (t) => {
  for (const [version, packets] of [
    [0, PLAIN.replace('agent=x', 'agent=git/2.39.5 session-id=1')],
    [2, FETCH.replace('|object-format', '|session-id=1|object-format')],
    [2, REFS.replace('|object-format', '|agent=git/2.39.5|session-id=1|object-format')],
  ] as const) {
    const other = packets.replace('git/2.39.5', 'JGit/6').replace('session-id=1', 'session-id=2')
    t.not(other, packets)
    t.equal(keyIn(ask(other, version)), keyIn(ask(packets, version)))
  }
})

// Attack: a server that doesn't offer session-id refuses requests that have one. Such a request, as the first of many, made
// all that shared its run fail.
t.test('whether a client sends session-id is part of the key in version 2, where a server may refuse it', async (t) => {
  const key = keyIn(ask(FETCH, 2))
  t.not(keyIn(ask(FETCH.replace('|object-format', '|session-id=1|object-format'), 2)), key)
  t.not(keyIn(ask(FETCH.replace('agent=git/2.39.5|', ''), 2)), key)
  t.equal(keyIn(ask(PLAIN.replace('agent=x', 'session-id=1'), 0)), keyIn(ask(PLAIN, 0)))
})

t.test('wants are a set', async (t) => {
  const twice = ask(FETCH.replace(`want ${MAIN}`, `want ${SIDE}|want ${MAIN}|want ${SIDE}`), 2)
  t.strictSame(twice, ask(FETCH.replace(`want ${MAIN}`, `want ${MAIN}|want ${SIDE}`), 2))
  t.strictSame(twice.kind === 'fetch' && twice.wants, [SIDE, MAIN])
})

t.test('a fetch of version 2 that isn’t understood byte by byte is uncacheable', async (t) => {
  t.equal(describe(ask(FETCH, 2)), 'v2-pack')
  const changes: readonly (readonly [from: string, to: string])[] = [
    ...['want-ref refs/heads/main', 'packfile-uris https', 'sideband-all', 'wait-for-done', 'anything'].map(
      (line) => ['ofs-delta', line] as const,
    ),
    ...['server-option=x', 'promisor-remote=x', 'agent', 'object-format=sha1', 'toString'].map(
      (line) => ['agent=git/2.39.5', line] as const,
    ),
    ...['0', '-1', '01', '0x10', '1 ', '2147483648', ''].map((depth) => ['ofs-delta', `deepen ${depth}`] as const),
    ...['sparse:oid=main:a.txt', `sparse:oid=${OTHER}`, 'sparse:path=a', 'combine:', 'combine:tree:0+', 'tree:-1'].map(
      (filter) => ['ofs-delta', `filter ${filter}`] as const,
    ),
    ['ofs-delta', 'deepen-since 0'],
    ['ofs-delta', 'deepen-since yesterday'],
    ['ofs-delta', 'deepen-not '],
    ['ofs-delta', 'deepen-not a\0b'],
    ['ofs-delta', 'ofs-delta\n\n'],
    ['ofs-delta', ' ofs-delta'],
    ['ofs-delta', ''],
    ['ofs-delta', '0002'],
    ['ofs-delta', '0001'],
    ['ofs-delta', '0000'],
    ['command=fetch', 'command=object-info'],
    ['command=fetch', 'command=bundle-uri'],
    ['command=fetch', 'command=fetch|command=ls-refs'],
    ['command=fetch|agent=git/2.39.5', 'agent=git/2.39.5|command=fetch'],
    ['object-format=sha1', 'object-format=sha256'],
    ['object-format=sha1', 'object-format=toString'],
    ['object-format=sha1', 'object-format='],
    [`want ${MAIN}|`, ''],
    [MAIN, MAIN.toUpperCase()],
    [MAIN, MAIN.slice(1)],
    [MAIN, LONG],
    [MAIN, `${MAIN} ofs-delta`],
    ['done|0000', 'done'],
    ['done|0000', 'done|0000|0000'],
    ['done|0000', 'done|0000|done'],
  ]
  for (const [from, to] of changes) {
    const packets = FETCH.replace(from, to)
    t.not(packets, FETCH)
    t.equal(describe(ask(packets, 2)), 'uncacheable', `${from} → ${JSON.stringify(to)}`)
  }
})

t.test('what a fetch of version 2 may contain', async (t) => {
  const changes: readonly (readonly [from: string, to: string, asks: string])[] = [
    ['|done', '', 'v2-round'],
    [`|have ${SIDE}|done`, '', 'v2-pack'],
    ['|object-format=sha1', '', 'v2-pack'],
    ['ofs-delta', 'deepen 2147483647', 'v2-pack'],
    ['ofs-delta', 'deepen-not refs/heads/ä', 'v2-pack all-refs'],
    ['ofs-delta', 'deepen 1|deepen-relative', 'v2-pack all-refs'],
    ['ofs-delta', 'deepen-since 1700000000', 'v2-pack not-storable'],
    ['ofs-delta', 'include-tag|no-progress', 'v2-pack tags'],
    ...['blob:limit=1k', 'object:type=commit', 'combine:tree:3+blob:none'].map(
      (filter) => ['ofs-delta', `filter ${filter}`, 'v2-pack'] as const,
    ),
  ]
  for (const [from, to, asks] of changes) t.equal(describe(ask(FETCH.replace(from, to), 2)), asks, to)
})

t.test('ls-refs: its arguments are a set, and all of them must be known', async (t) => {
  const key = keyIn(ask(REFS, 2))
  t.equal(keyIn(ask(REFS.replace('peel|', 'ref-prefix refs/heads/|peel|peel|'), 2)), key)
  t.equal(describe(ask('command=ls-refs|0000', 2)), 'refs')
  for (const line of ['peel x', 'ref-prefix', 'refs', `want ${MAIN}`]) {
    t.equal(describe(ask(REFS.replace('peel', line), 2)), 'uncacheable', line)
  }
})

t.test(
  'a request of version 0 that isn’t understood, or whose response has no recognisable end, is uncacheable',
  async (t) => {
    t.equal(describe(ask(PLAIN, 0)), 'v0-pack')
    const changes: readonly (readonly [from: string, to: string])[] = [
      ['side-band-64k', ''],
      ['ofs-delta', 'push-options'],
      ['ofs-delta', 'toString'],
      ['ofs-delta', 'object-format=sha256'],
      ['ofs-delta', 'object-format=sha1 object-format=sha256'],
      ['|done', ''],
      ['|done', '|0000'],
      ['|done', '|0000|done'],
      ['|done', '|done|0000'],
      ['|done', '|done|done'],
      [`|have ${TAG}|done`, ''],
      [`|0000|have ${TAG}`, ''],
      [`want ${SIDE}`, `want ${SIDE} ofs-delta`],
      [`want ${SIDE}`, `have ${SIDE}`],
      [`want ${SIDE}`, `want ${LONG}`],
      [`want ${SIDE}`, 'include-tag'],
      [`have ${TAG}`, 'filter blob:none'],
      [`have ${TAG}`, `want ${TAG}`],
      ['|0000', '|0001'],
      [`want ${MAIN}`, `shallow ${MAIN}`],
    ]
    for (const [from, to] of changes) {
      const packets = PLAIN.replace(from, to)
      t.not(packets, PLAIN)
      t.equal(describe(ask(packets, 0)), 'uncacheable', `${from} → ${to}`)
    }
  },
)

t.test('capabilities of version 0 are a set', async (t) => {
  const key = keyIn(ask(PLAIN, 0))
  t.equal(keyIn(ask(PLAIN.replace('side-band-64k ofs-delta agent=x', ' ofs-delta  side-band-64k '), 0)), key)
  t.not(keyIn(ask(PLAIN.replace('ofs-delta', 'thin-pack'), 0)), key)
  t.not(keyIn(ask(PLAIN, 1)), key)
})

t.test('the header determines the grammar', async (t) => {
  t.equal(describe(parseUploadPackRequest(encode(PLAIN), 'version=2')), 'uncacheable')
  t.equal(describe(parseUploadPackRequest(encode(FETCH), undefined)), 'uncacheable')
  t.equal(
    keyIn(parseUploadPackRequest(encode(PLAIN), 'version=0')),
    keyIn(parseUploadPackRequest(encode(PLAIN), undefined)),
  )
  for (const header of ['', 'version=3', 'version=1:version=2', 'version=2:trace=1', 'Version=2', 'version=2 ']) {
    t.equal(describe(parseUploadPackRequest(encode(FETCH), header)), 'uncacheable', header)
    t.equal(advertisementKey('git-upload-pack', header), undefined, header)
  }
})

t.test('a body of more than 1 MiB isn’t parsed', async (t) => {
  const longAs = (length: number): Buffer => {
    const haves = Math.floor(length / encode(`have ${OTHER}`).length) - 10
    const few = FETCH.replace('|done', `|${Array(haves).fill(`have ${OTHER}`).join('|')}|deepen-not a|done`)
    return encode(few.replace('deepen-not a', `deepen-not ${'a'.repeat(length - encode(few).length + 1)}`))
  }
  t.equal(longAs(MAX_BODY_BYTES).length, MAX_BODY_BYTES)
  t.equal(describe(parseUploadPackRequest(longAs(MAX_BODY_BYTES), 'version=2')), 'v2-pack all-refs')
  t.equal(describe(parseUploadPackRequest(longAs(MAX_BODY_BYTES + 1), 'version=2')), 'uncacheable')
})

t.test('advertisements of upload-pack have a key for each version; those of receive-pack have none', async (t) => {
  const keys = [undefined, 'version=1', 'version=2'].map((header) => advertisementKey('git-upload-pack', header))
  t.equal(new Set(keys).size, 3)
  t.equal(advertisementKey('git-upload-pack', 'version=0'), keys[0])
  t.equal(advertisementKey('git-receive-pack', undefined), undefined)
})
