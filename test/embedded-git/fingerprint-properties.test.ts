// Whatever happens to the refs of a repository: where git answers differently, the fingerprint differs.
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readRefFiles } from '../../src/embedded-git/ref-files.js'
import type { BareRepository } from './bare-repository.js'
import { createBareRepository } from './bare-repository.js'

type Step = { readonly kind: (typeof KINDS)[number]; readonly name: string; readonly second: boolean }

const KINDS = ['update', 'delete', 'pack', 'head', 'tag', 'symbolic', 'gc'] as const
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  name: fc.constantFrom('main', 'a', 'b', 'b/c', 'dir/one', 'dir/two'),
  second: fc.boolean(),
})

/** Takes a step; git refuses some, such as a branch `b` beside `b/c`. */
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
    // Nothing happened, or half of it did.
  }
}

function answer({ run, where }: BareRepository): string {
  return `${readFileSync(join(where, 'HEAD'), 'utf8')}${run('for-each-ref')}`
}

t.test('two moments with the same fingerprint have the same HEAD and the same refs', async (t) => {
  let differences = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const repository = await createBareRepository(t)
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
    { numRuns: 25 },
  )
  t.ok(differences > 50, `${differences} states`)
})

t.test('what is read from the files of refs is what git lists, or nothing', async (t) => {
  // After a symbolic one git is asked for ever.
  const usual = step.filter(({ kind }) => kind !== 'symbolic')
  let read = 0
  await fc.assert(
    fc.asyncProperty(fc.array(usual, { minLength: 5, maxLength: 30 }), async (steps) => {
      const repository = await createBareRepository(t)
      for (const one of steps) {
        take(repository, one)
        const found = readRefFiles(repository.where)
        if (found === undefined) continue
        read++
        const lines = [...found.ids].map(([name, id]) => `${id} ${name}\n`).join('')
        if (lines !== repository.run('for-each-ref', '--format=%(objectname) %(refname)')) return false
      }
      return true
    }),
    { numRuns: 15 },
  )
  t.ok(read > 50, 'it is no empty promise')
})
