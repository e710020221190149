// Packs as no git makes them: what they must not prove, and what they must not cost.
import fc from 'fast-check'
import t from 'tap'
import { readCommits } from '../../src/protocol/pack-commits.js'
import { GitClient } from '../acceptance/git-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { COMMIT, entryOf, idOf, packOf, TAG, TREE, traceAncestry } from '../protocol/pack-bytes.js'

const MEBIBYTE = 1_048_576
const TREE_ID = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
const [BASE, OLD] = ['b'.repeat(40), 'd'.repeat(40)] as const
const PEOPLE = 'author A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n'
const commit = (parents: string, rest = `${PEOPLE}\nChange\n`) => Buffer.from(`tree ${TREE_ID}\n${parents}${rest}`)

/** Commits that are children of BASE, or of none, and hold a line that looks as if OLD were another parent. */
const LOOK_ALIKES: Readonly<Record<string, (base: string, old: string) => Buffer>> = {
  'a header of another name before it': (base, old) => commit(`parent ${base}\nx y\nparent ${old}\n`),
  'an author without a space, and the line in the message': (base, old) =>
    commit(`parent ${base}\n`, `authorx a\n\nm\nparent ${old}\n`),
  'no author at all': (base, old) => commit(`parent ${base}\n`, `\nparent ${old}\n`),
  'after the author': (base, old) => commit(`parent ${base}\n`, `${PEOPLE}parent ${old}\n\nChange\n`),
  'in the message': (base, old) => commit(`parent ${base}\n`, `${PEOPLE}\nparent ${old}\n`),
  'an empty line before it': (base, old) => commit(`parent ${base}\n\nparent ${old}\n`),
  'a NUL before it': (base, old) => commit(`parent ${base}\n\0parent ${old}\n`),
  'a signature that goes on': (base, old) =>
    commit(`parent ${base}\n`, `${PEOPLE}gpgsig x\n parent ${old}\nparent ${old}\n\nChange\n`),
  'before the tree': (base, old) => Buffer.from(`parent ${old}\n${commit(`parent ${base}\n`).toString()}`),
  'without a tree': (_base, old) => Buffer.from(`parent ${old}\n${PEOPLE}\nChange\n`),
  'two trees': (base, old) => commit(`parent ${base}\ntree ${TREE_ID}\nparent ${old}\n`),
  'a tree that is not the first line': (_base, old) => Buffer.from(`\n${commit(`parent ${old}\n`).toString()}`),
  'a tree of no id': (_base, old) => Buffer.from(`tree x\nparent ${old}\n${PEOPLE}\nChange\n`),
  'a carriage return at its end': (base, old) => commit(`parent ${base}\nparent ${old}\r\n`),
  'a space at its end': (base, old) => commit(`parent ${base}\nparent ${old} \n`),
  'two spaces in it': (base, old) => commit(`parent ${base}\nparent  ${old}\n`),
  'a tab in it': (base, old) => commit(`parent ${base}\nparent\t${old}\n`),
  'an id that goes on': (base, old) => commit(`parent ${base}\nparent ${old}${'0'.repeat(24)}\n`),
  'no end of its line': (base, old) => commit(`parent ${base}\nparent ${old}`, ''),
}

// Attack: a commit of which git reads one parent, and the gate another: a force-push passes as a fast-forward.
t.test('only the parent lines right after the tree are parents', async (t) => {
  for (const [name, make] of Object.entries(LOOK_ALIKES)) {
    const content = make(BASE, OLD)
    const commits = await readCommits(packOf([entryOf(content)]), 40)
    const [found] = commits.parents.get(idOf(content)) ?? []
    t.strictSame([...commits.parents.keys()], [idOf(content)], name)
    t.ok(found === undefined || found === BASE, `${name}: ${found ?? 'none'}`)
    t.equal((await traceAncestry(commits, idOf(content), OLD)).kind, 'open', name)
  }
  const merge = commit(`parent ${BASE}\nparent ${OLD}\n`)
  const commits = await readCommits(packOf([entryOf(merge)]), 40)
  t.strictSame(commits.parents.get(idOf(merge)), [BASE, OLD])
})

t.test('what is proven, git takes for a fast-forward as well', async (t) => {
  const git = new GitClient(temporaryFolder(t), 'ada')
  const cwd = await git.init('app')
  const write = (content: Buffer) =>
    git.ask(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], { cwd, input: content })
  const [base, old] = [await write(commit('', `${PEOPLE}\nBase\n`)), await write(commit('', `${PEOPLE}\nOld\n`))]
  const makes = Object.entries(LOOK_ALIKES).map(([name, make]) => [name, make(base, old)] as const)
  for (const [name, content] of [...makes, ['a merge', commit(`parent ${base}\nparent ${old}\n`)] as const]) {
    const id = await write(content)
    t.equal(id, idOf(content), name)
    const traced = await traceAncestry(await readCommits(packOf([entryOf(content)]), 40), id, old)
    const { status } = await git.run(['merge-base', '--is-ancestor', old, id], { cwd, status: 'any' })
    t.equal(traced.kind === 'proven', name === 'a merge', name)
    t.equal(status === 0, name === 'a merge', `${name}, by git’s word`)
  }
})

// Attack: fifty kilobytes that unpack to fifty megabytes, or to a thousand times as much, in the gate's memory.
t.test('an entry that unpacks to very much is not decoded', async (t) => {
  const news = commit(`parent ${BASE}\n`)
  const zeros = Buffer.alloc(50 * MEBIBYTE)
  const bomb = entryOf(zeros)
  t.ok(bomb.length < 64 * 1_024)
  // What follows counts as well: a bound that is a ratio to all that was read is none.
  const rest = Buffer.alloc(MEBIBYTE)
  for (const [name, entry] of [
    ['its size told', bomb],
    ['as a tag', entryOf(zeros, TAG)],
    ['another size told', entryOf(zeros, COMMIT, 200)],
    ['a size of nothing', entryOf(zeros, COMMIT, 0)],
    ['a size that no number holds', Buffer.from([0x9f, ...Array<number>(40).fill(0xff), 0x7f])],
  ] as const) {
    const commits = await readCommits(packOf([entryOf(news), entry, rest], 3), 40)
    t.strictSame(commits.parents, new Map([[idOf(news), [BASE]]]), name)
    t.equal(commits.isComplete, false, name)
  }
  const long = commit(`parent ${BASE}\n`, `${PEOPLE}\n${'A long story. '.repeat(10_000)}\n`)
  t.strictSame(
    (await readCommits(packOf([entryOf(long)]), 40)).parents.get(idOf(long)),
    [BASE],
    'a long message is read',
  )
})

// Attack: a pack of millions of tiny entries, each of which costs a decoder.
t.test('more than 10,000 entries are not looked at', async (t) => {
  const news = commit(`parent ${BASE}\n`)
  const tags = (count: number) => Array<Buffer>(count).fill(entryOf(Buffer.from('tag'), TAG))
  const some = await readCommits(packOf([...tags(9_999), entryOf(news)]), 40)
  t.strictSame(some, { parents: new Map([[idOf(news), [BASE]]]), isComplete: true })
  const more = await readCommits(packOf([...tags(10_000), entryOf(news)]), 40)
  t.strictSame(more, { parents: new Map(), isComplete: false })
  const endless = await readCommits(
    packOf([entryOf(news), ...tags(10_000), entryOf(Buffer.alloc(0), TREE)], 2 ** 32 - 1),
    40,
  )
  t.strictSame(endless, { parents: new Map([[idOf(news), [BASE]]]), isComplete: false })
})

t.test('entries of any type and any size are no fault, and what is found has the hash of what it holds', async () => {
  const someContent = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(commit(''), commit(`parent ${BASE}\n`)),
  )
  const someEntry = fc.record({
    content: someContent,
    type: fc.oneof(fc.constant(COMMIT), fc.integer({ min: 0, max: 7 })),
    size: fc.option(fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat()), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(someEntry, { maxLength: 5 }), fc.nat(), fc.boolean(), async (entries, cut, isCut) => {
      const pack = packOf(entries.map(({ content, type, size }) => entryOf(content, type, size)))
      const { parents } = await readCommits(isCut ? pack.subarray(0, cut % (pack.length + 1)) : pack, 40)
      const known = new Set(entries.map(({ content }) => idOf(content)))
      return [...parents.keys()].every((id) => known.has(id))
    }),
    { numRuns: 1_000 },
  )
})
