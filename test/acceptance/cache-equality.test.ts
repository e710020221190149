// A gate responds the same with a cache as without, byte by byte where Git is deterministic.
import { createHash } from 'node:crypto'
import t from 'tap'
import { PktLineReader } from '../../src/protocol/pkt-line.js'
import type { HttpOptions } from './http-client.js'
import { cacheResults, cachedWorld, uncached } from './cache-world.js'
import type { World } from './world.js'

const packet = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text
const lines = (...texts: readonly string[]): string =>
  texts.map((text) => (/^000[01]$/.test(text) ? text : packet(`${text}\n`))).join('')

type Case = { readonly name: string; readonly version?: string; readonly body?: string; readonly path?: string }

/** Sends a request once without the cache and three times with it, and compares the responses. */
async function sameAnswer(worlds: readonly (readonly [World, string])[], { version, body, path }: Case) {
  const answers = []
  for (const [world, password] of worlds) {
    const options: HttpOptions = {
      password,
      headers: {
        ...(version === undefined ? {} : { 'Git-Protocol': `version=${version}` }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/x-git-upload-pack-request' }),
      },
      ...(body === undefined ? {} : { method: 'POST', body }),
    }
    answers.push(await world.http(path ?? '/team/app.git/git-upload-pack', options))
  }
  return answers.map(({ status, headers, body: text }) => ({
    status,
    type: headers['content-type'],
    cacheControl: headers['cache-control'],
    encoding: headers['content-encoding'],
    body: createHash('sha256').update(joined(text), 'latin1').digest('hex'),
  }))
}

/** A response with the pack's data joined: how Git splits it into packets varies. */
function joined(text: string): string {
  const reader = new PktLineReader()
  reader.add(Buffer.from(text, 'latin1'))
  let all = ''
  let isInPack = false
  for (let packet = reader.next(); typeof packet !== 'string'; packet = reader.next()) {
    const data = packet.kind === 'data' ? packet.data.toString('latin1') : `<${packet.kind}>`
    const isPack = data.startsWith('\x01')
    all += isPack && isInPack ? data.slice(1) : `\n${data}`
    isInPack = isPack
  }
  return all + reader.rest.toString('latin1')
}

t.test('the same requests get the same responses, with a cache and without', async (t) => {
  const { world, password, folder, push, disk } = await cachedWorld(t)
  for (let number = 1; number <= 5; number += 1) {
    await world.git.commit(folder, `file-${number}`, `${number}\n`.repeat(1_000))
    await world.git.run(['tag', '-a', '-m', 'A tag', `v${number}`], { cwd: folder })
  }
  await push('HEAD:main', 'HEAD~2:refs/heads/side', '--tags')
  // One thread and one pack make Git's response deterministic.
  await world.git.run(['-c', 'safe.directory=*', '--git-dir', disk, 'repack', '-a', '-d', '-q'])
  await world.git.run(['-c', 'safe.directory=*', '--git-dir', disk, 'config', 'pack.threads', '1'])
  const other = await uncached(t, disk)
  const id = async (name: string) => await world.git.ask(['rev-parse', name], { cwd: folder })
  const [main, side, tag, first] = [await id('HEAD'), await id('HEAD~2'), await id('v5'), await id('HEAD~4')]
  const v2 = (...args: string[]) => lines('command=fetch', 'object-format=sha1', '0001', ...args, '0000')
  const refs = (...args: string[]) => lines('command=ls-refs', '0001', ...args, '0000')
  const v0 = (capabilities: string, ...rest: string[]) => lines(`want ${main} ${capabilities}`, ...rest)
  const bands = 'side-band-64k ofs-delta no-progress'
  const gone = 'f'.repeat(40)
  const advertised = '/team/app.git/info/refs?service=git-upload-pack'
  const cases: Case[] = [
    ...[undefined, '0', '1', '2'].map((version) => ({
      name: `the advertisement of version ${version ?? 'none'}`,
      path: advertised,
      ...(version === undefined ? {} : { version }),
    })),
    { name: 'ls-refs', version: '2', body: refs('peel', 'symrefs', 'unborn') },
    { name: 'ls-refs in another order', version: '2', body: refs('symrefs', 'peel', 'unborn') },
    { name: 'ls-refs of a few', version: '2', body: refs('ref-prefix refs/heads/', 'ref-prefix HEAD') },
    { name: 'ls-refs of none', version: '2', body: refs('ref-prefix refs/none') },
    { name: 'ls-refs of what git does not know', version: '2', body: refs('surprise') },
    { name: 'a clone', version: '2', body: v2('no-progress', 'ofs-delta', `want ${main}`, `want ${tag}`, 'done') },
    {
      name: 'its wants in another order',
      version: '2',
      body: v2('no-progress', 'ofs-delta', `want ${tag}`, `want ${main}`, 'done'),
    },
    { name: 'with tags', version: '2', body: v2('no-progress', 'include-tag', `want ${main}`, 'done') },
    { name: 'a shallow clone', version: '2', body: v2('no-progress', `want ${main}`, 'deepen 1', 'done') },
    {
      name: 'one that goes on',
      version: '2',
      body: v2('no-progress', `want ${main}`, `shallow ${main}`, `have ${main}`, 'deepen 3', 'done'),
    },
    {
      name: 'one that excludes',
      version: '2',
      body: v2('no-progress', `want ${main}`, 'deepen-not refs/heads/side', 'done'),
    },
    { name: 'with a filter', version: '2', body: v2('no-progress', `want ${main}`, 'filter blob:none', 'done') },
    { name: 'a fetch', version: '2', body: v2('no-progress', 'thin-pack', `want ${main}`, `have ${side}`, 'done') },
    { name: 'a round', version: '2', body: v2('no-progress', `want ${main}`, `have ${gone}`) },
    {
      name: 'a round that is ready',
      version: '2',
      body: v2('no-progress', `want ${main}`, `have ${first}`, `have ${gone}`),
    },
    { name: 'what is not there', version: '2', body: v2(`want ${gone}`, 'done') },
    { name: 'an unknown command', version: '2', body: lines('command=surprise', '0000') },
    {
      name: 'a filter that is not allowed',
      version: '2',
      body: v2(`want ${main}`, 'filter sparse:oid=main:x', 'done'),
    },
    { name: 'a clone, version 0', body: v0(bands, '0000', 'done') },
    { name: 'a clone, version 1', version: '1', body: v0(bands, '0000', 'done') },
    { name: 'a shallow clone, version 0', body: v0(`${bands} shallow`, 'deepen 2', '0000', 'done') },
    { name: 'its first half, version 0', body: v0(`${bands} shallow`, 'deepen 2', '0000') },
    { name: 'a fetch, version 0', body: v0(`${bands} multi_ack_detailed no-done`, '0000', `have ${side}`, 'done') },
    { name: 'a round, version 0', body: v0(`${bands} multi_ack_detailed`, '0000', `have ${side}`, '0000') },
    { name: 'without bands, version 0', body: v0('ofs-delta', '0000', 'done') },
    { name: 'what is not there, version 0', body: lines(`want ${gone} ${bands}`, '0000', 'done') },
    { name: 'no packets at all', body: 'surprise' },
    { name: 'a repository that is not there', path: '/team/none.git/info/refs?service=git-upload-pack' },
    { name: 'an advertisement for a push', path: '/team/app.git/info/refs?service=git-receive-pack' },
  ]
  const worlds = [
    [other.world, other.password] as const,
    ...Array.from({ length: 3 }, () => [world, password] as const),
  ]
  for (const one of cases) {
    const [without, ...within] = await sameAnswer(worlds, one)
    for (const answer of within) t.strictSame(answer, without, one.name)
  }
  t.ok(cacheResults(world).filter((result) => result === 'hit').length > 30)
  t.match(cacheResults(world, 'advertisement'), ['miss', 'hit'])
  t.strictSame(cacheResults(other.world), [], 'the other gate has no cache')
})
