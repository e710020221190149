// Whatever happens to the refs: if git's output differs, so does the fingerprint.
import fc from 'fast-check'
import t from 'tap'
import { REFTABLE_GIT, requireReftableGit } from '../../acceptance/programs.js'
import { readRefFiles } from '../../../src/git/embedded/repository-refs.js'
import type { BareRepository } from './bare-repository.js'
import { createBareRepository } from './bare-repository.js'

type Step = { readonly kind: (typeof KINDS)[number]; readonly name: string; readonly second: boolean }

const KINDS = ['update', 'delete', 'pack', 'head', 'tag', 'symbolic', 'gc'] as const
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  name: fc.constantFrom('main', 'a', 'b', 'b/c', 'dir/one', 'dir/two'),
  second: fc.boolean(),
})

/** Takes a step. Git refuses some, such as a branch `b` beside `b/c`. */
function take({ run, one, two }: BareRepository, { kind, name, second }: Step): void {
  const commands: Readonly<Record<Step['kind'], readonly string[]>> = {
    update: ['update-ref', `refs/heads/${name}`, second ? two : one],
    delete: ['update-ref', '-d', `refs/heads/${name}`],
    pack: ['pack-refs', second ? '--all' : '--no-prune'],
    head: second ? ['symbolic-ref', 'HEAD', `refs/heads/${name}`] : ['update-ref', '--no-deref', 'HEAD', two],
    tag: ['tag', '--force', ...(second ? ['-a', '-m', name] : []), name, one],
    symbolic: ['symbolic-ref', `refs/heads/${second ? 'alias' : 'dir/alias'}`, `refs/heads/${name}`],
    gc: ['gc', '--quiet', ...(second ? ['--prune=now'] : [])],
  }
  try {
    run(...commands[kind])
  } catch {
    // Git refused, or stopped halfway.
  }
}

/** HEAD and all refs as git sees them. */
function answer({ run }: BareRepository): string {
  const ask = (...args: string[]): string => {
    try {
      return run(...args)
    } catch {
      return ''
    }
  }
  return ask('symbolic-ref', 'HEAD') + ask('rev-parse', 'HEAD') + run('for-each-ref')
}

for (const { refs, git, skip, numRuns } of [
  { refs: 'files', git: undefined, skip: false, numRuns: 25 },
  { refs: 'a reftable', git: REFTABLE_GIT, skip: requireReftableGit(), numRuns: 10 },
] as const) {
  t.test(`equal fingerprints mean equal HEAD and refs, kept in ${refs}`, { skip }, async (t) => {
    let differences = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const repository = await createBareRepository(t, 'sha1', git)
        const answers = new Map([[(await repository.state()).fingerprint, answer(repository)]])
        for (const one of steps) {
          take(repository, one)
          const { fingerprint } = await repository.state()
          const now = answer(repository)
          const before = answers.get(fingerprint)
          if (before !== undefined && before !== now) return false
          if (before === undefined) differences++
          answers.set(fingerprint, now)
        }
        return true
      }),
      { numRuns },
    )
    t.ok(differences > 2 * numRuns, `${differences} states`)
  })
}

t.test('refs that are read from files are those that git lists', async (t) => {
  // From the first symbolic ref on, only git can list them.
  const usual = step.filter(({ kind }) => kind !== 'symbolic')
  let read = 0
  await fc.assert(
    fc.asyncProperty(fc.array(usual, { minLength: 5, maxLength: 30 }), async (steps) => {
      const repository = await createBareRepository(t)
      for (const one of steps) {
        take(repository, one)
        const found = await readRefFiles(repository.where)
        if (found === undefined) continue
        read++
        const lines = [...found.ids].map(([name, id]) => `${id} ${name}\n`).join('')
        if (lines !== repository.run('for-each-ref', '--format=%(objectname) %(refname)')) return false
      }
      return true
    }),
    { numRuns: 15 },
  )
  t.ok(read > 50, 'files were read often enough')
})
