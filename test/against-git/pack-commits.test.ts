// What the beginning of a pack proves of history, with packs as git makes them.
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import type { PackCommits } from '../../src/protocol/pack-commits.js'
import { readCommits } from '../../src/protocol/pack-commits.js'
import { GitClient } from '../acceptance/git-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { entryOf, packOf, traceAncestry } from '../protocol/pack-bytes.js'

type History = {
  readonly idLength: number
  /** Adds a commit that is on no branch. */
  readonly commit: (parents: readonly string[], message?: string) => Promise<string>
  /** A pack as a push brings it: what is new, without what the receiver has. */
  readonly pack: (news: readonly string[], known: readonly string[], ...flags: readonly string[]) => Promise<Buffer>
  /** The parents of all commits, by git's own word. */
  readonly truth: (...tips: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>
  readonly run: (...args: readonly string[]) => Promise<string>
}

async function createHistory(t: Test, format: 'sha1' | 'sha256' = 'sha1'): Promise<History> {
  const git = new GitClient(temporaryFolder(t), 'ada')
  const cwd = await git.init('app', `--object-format=${format}`)
  let count = 0
  const run = (...args: readonly string[]) => git.ask(args, { cwd })
  return {
    idLength: format === 'sha256' ? 64 : 40,
    run,
    async commit(parents, message = `Commit ${++count}`) {
      const blob = await git.ask(['hash-object', '-w', '--stdin'], { cwd, input: `file ${message.slice(0, 20)}` })
      const tree = await git.ask(['mktree'], { cwd, input: `100644 blob ${blob}\tfile\n` })
      return await run('commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', message)
    },
    async pack(news, known, ...flags) {
      const input = `${[...news, ...known.map((id) => `^${id}`)].join('\n')}\n`
      const args = ['pack-objects', '--revs', '--stdout', '-q', ...flags]
      return Buffer.from((await git.run(args, { cwd, input })).stdout, 'latin1')
    },
    async truth(...tips) {
      const lines = (await run('rev-list', '--parents', ...tips)).split('\n').map((line) => line.split(' '))
      return new Map(lines.map(([id = '', ...parents]) => [id, parents]))
    },
  }
}

/** Commits one after the other. @returns all of them, the oldest first */
async function chain({ commit }: History, start: readonly string[], length: number): Promise<string[]> {
  const ids: string[] = []
  for (let parents = start; ids.length < length; parents = ids.slice(-1)) ids.push(await commit(parents))
  return ids
}

/** The commits that were found otherwise than git knows them. */
function untrue({ parents }: PackCommits, truth: ReadonlyMap<string, readonly string[]>): string[] {
  return [...parents].filter(([id, found]) => found.join() !== truth.get(id)?.join()).map(([id]) => id)
}

for (const format of ['sha1', 'sha256'] as const) {
  t.test(`a line of commits proves that it goes on from where it began (${format})`, async (t) => {
    const history = await createHistory(t, format)
    const [old = '', ...news] = await chain(history, [], 12)
    const [last = ''] = news.slice(-1)
    const commits = await readCommits(await history.pack([last], [old]), history.idLength)
    t.equal(commits.isComplete, true)
    t.strictSame(commits.parents, new Map(news.map((id, index) => [id, [news[index - 1] ?? old]])))
    t.strictSame(await traceAncestry(commits, last, old), { kind: 'proven' })
    t.strictSame(await traceAncestry(commits, last, news[3]!), { kind: 'proven' }, 'nor need the old one be at the end')
    t.strictSame(
      await traceAncestry(commits, news[3]!, last),
      { kind: 'open', edges: [old] },
      'but not the other way round',
    )
    t.strictSame(await traceAncestry(commits, old, last), { kind: 'open', edges: [old] })
  })
}

t.test('a merge proves both sides, and a walk ends at each edge once', async (t) => {
  const history = await createHistory(t)
  const [base = '', left = ''] = await chain(history, [], 2)
  const [old = '', right = ''] = await chain(history, [base], 2)
  const merge = await history.commit([left, right])
  const [top = ''] = (await chain(history, [merge], 2)).slice(-1)
  const commits = await readCommits(await history.pack([top], [base, old]), 40)
  for (const proven of [old, base, left, right, merge])
    t.strictSame(await traceAncestry(commits, top, proven), { kind: 'proven' })
  const elsewhere = await history.commit([base])
  const edges = new Set([old, base])
  const traced = await traceAncestry(commits, top, elsewhere)
  t.equal(traced.kind, 'open')
  t.strictSame(traced.kind === 'open' && traced.edges.length, 2)
  t.strictSame(new Set(traced.kind === 'open' ? traced.edges : []), edges)
})

t.test('where lines part and meet again, each commit is walked once', async (t) => {
  const parents = new Map(Array.from({ length: 200 }, (_, at) => [`${at + 1}`, [`${at}`, `${at}`]]))
  t.strictSame(await traceAncestry({ parents, isComplete: true }, '200', 'x'), { kind: 'open', edges: ['0'] })
  t.strictSame(await traceAncestry({ parents, isComplete: true }, '200', '0'), { kind: 'proven' })
})

t.test('a commit that was amended is not proven; its parent is the edge', async (t) => {
  const history = await createHistory(t)
  const [base = '', old = ''] = await chain(history, [], 2)
  const amended = await history.commit([base])
  const commits = await readCommits(await history.pack([amended], [old]), 40)
  t.strictSame(await traceAncestry(commits, amended, old), { kind: 'open', edges: [base] })
  t.equal(commits.isComplete, true)
})

t.test('a history of its own has no edge at all', async (t) => {
  const history = await createHistory(t)
  const old = await history.commit([])
  const [, last = ''] = await chain(history, [], 2)
  const commits = await readCommits(await history.pack([last], [old]), 40)
  t.strictSame(await traceAncestry(commits, last, old), { kind: 'open', edges: [] })
})

t.test('a pack of nothing leaves the new commit itself as the edge', async (t) => {
  const history = await createHistory(t)
  const [old = '', last = ''] = await chain(history, [], 2)
  const empty = await history.pack([old], [old])
  t.equal(empty.length, 32)
  for (const bytes of [empty, Buffer.alloc(0)]) {
    const commits = await readCommits(bytes, 40)
    t.strictSame(commits, { parents: new Map(), isComplete: true })
    t.strictSame(await traceAncestry(commits, last, old), { kind: 'open', edges: [last] })
    t.strictSame(await traceAncestry(commits, old, old), { kind: 'proven' })
  }
})

t.test('what is no pack tells nothing', async (t) => {
  for (const bytes of ['P', 'PACK', 'KCAP\0\0\0\x02\0\0\0\0', 'x'.repeat(40), 'PACK\0\0\0\x02\0\0\0\x01'])
    t.strictSame(await readCommits(Buffer.from(bytes), 40), { parents: new Map(), isComplete: false }, bytes)
})

t.test('tags beside the commits are passed over', async (t) => {
  const history = await createHistory(t)
  const [old = '', last = ''] = await chain(history, [], 2)
  await history.run('tag', '-a', '-m', 'Version 1', 'v1', last)
  const commits = await readCommits(await history.pack([await history.run('rev-parse', 'v1'), last], [old]), 40)
  t.strictSame(await traceAncestry(commits, last, old), { kind: 'proven' })
})

t.test('commits that are differences to others in the pack are put together', async (t) => {
  const history = await createHistory(t)
  const message = Array.from({ length: 300 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 0).toString(36)).join('\n')
  const ids = [await history.commit([])]
  for (let i = 0; i < 6; i++) ids.push(await history.commit(ids.slice(-1), `Change ${i}\n\n${message}`))
  const [old = '', last = ''] = [ids[0], ids.at(-1)]
  for (const flags of [[], ['--delta-base-offset'], ['--thin', '--delta-base-offset']]) {
    const commits = await readCommits(await history.pack([last], [old], ...flags), 40)
    const name = flags.join(' ') || 'whole ids'
    t.equal(commits.isComplete, true, name)
    t.equal(commits.parents.size, 6, name)
    t.strictSame(untrue(commits, await history.truth(last)), [], name)
    t.equal((await traceAncestry(commits, last, old)).kind, 'proven', name)
  }
})

t.test('a pack that is cut off proves no more than all of it, and is no fault', async (t) => {
  const history = await createHistory(t)
  const [base = '', old = '', ...news] = await chain(history, [], 10)
  const [amended, last = ''] = [await history.commit([base]), news.at(-1)]
  const truth = await history.truth(last, amended)
  const bytes = await history.pack([last, amended], [old])
  t.equal((await readCommits(bytes, 40)).parents.size, 9)
  const kinds = new Set<string>()
  for (let end = 0; end < bytes.length; end += 7) {
    const commits = await readCommits(bytes.subarray(0, end), 40)
    if (untrue(commits, truth).length > 0) t.fail(`of ${end} bytes a commit is read wrongly`)
    if ((await traceAncestry(commits, amended, old)).kind === 'proven') t.fail(`${end} bytes prove what is not so`)
    if (commits.isComplete && commits.parents.size < 9 && end > 0) t.fail(`${end} bytes are no whole`)
    kinds.add((await traceAncestry(commits, last, old)).kind)
  }
  t.strictSame(kinds, new Set(['open', 'proven']))
})

/** Whatever they hold, they are sound as a pack. */
const packOfCommits = (contents: readonly Buffer[]) => packOf(contents.map((content) => entryOf(content)))

// Attack: commits or a pack are changed so that they seem to lead to the old commit.
t.test('what is changed never proves a wrong ancestor: commits are known by their hashes', async (t) => {
  const history = await createHistory(t)
  const [base = '', old = ''] = await chain(history, [], 2)
  const news = await chain(history, [base], 4)
  const [last = ''] = news.slice(-1)
  const truth = await history.truth(last)
  const contents = await Promise.all(
    news.map(async (id) => Buffer.from(`${await history.run('cat-file', 'commit', id)}\n`)),
  )
  t.strictSame((await readCommits(packOfCommits(contents), 40)).parents, new Map(news.map((id) => [id, truth.get(id)])))
  const pack = await history.pack([last], [old])

  const someBytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 3 }),
    fc.constantFrom(old, `parent ${old}\n`, '\n').map((text) => Buffer.from(text)),
  )
  const someChanges = fc.array(fc.tuple(fc.nat(), someBytes), { minLength: 1, maxLength: 4 })
  const change = (bytes: Buffer, changes: readonly (readonly [number, Uint8Array])[]): Buffer => {
    const changed = Buffer.from(bytes)
    for (const [place, put] of changes) {
      const at = place % bytes.length
      changed.set(put.subarray(0, bytes.length - at), at)
    }
    return changed
  }
  const isHonest = async (bytes: Buffer): Promise<boolean> => {
    const commits = await readCommits(bytes, 40)
    const wrong = untrue(commits, truth).filter((id) => truth.has(id))
    return wrong.length === 0 && (await traceAncestry(commits, last, old)).kind === 'open'
  }
  const relinked = contents.map((content) => Buffer.from(content.toString().replace(base, old)))
  t.ok(await isHonest(packOfCommits(relinked)), 'the first has another parent')
  await fc.assert(
    fc.asyncProperty(someChanges, fc.nat({ max: contents.length - 1 }), async (changes, one) => {
      const forged = contents.map((content, index) => (index === one ? change(content, changes) : content))
      return (await isHonest(packOfCommits(forged))) && (await isHonest(change(pack, changes)))
    }),
    { numRuns: 1_000 },
  )
})
