import fc from 'fast-check'
import t from 'tap'
import { readyGrant, effectiveRole, subjectsOf } from '../../../src/domain/access/grant.js'
import { AccessibleRepositories } from '../../../src/domain/access/accessible-repositories.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import { reaches } from '../../../src/domain/tokens/restriction.js'

const NAMES = ['a', 'b', 'alice', 'team']
const paths = fc.uniqueArray(
  fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }).map((p) => p.join('/')),
)
const pattern = fc
  .array(fc.constantFrom(...NAMES, '*', 'a*', '**'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
const grant = fc.record({
  id: fc.nat(),
  subject: fc.constantFrom('@all', '@anonymous', 'alice', 'mallory'),
  role: fc.constantFrom('read' as const, 'write' as const, 'admin' as const),
  pattern,
})
const limits = fc.record({
  repositories: fc.array(pattern, { maxLength: 2 }),
  refs: fc.constant([]),
  within: fc.option(fc.record({ repositories: fc.array(pattern), refs: fc.constant([]), within: fc.constant(null) })),
})

t.test('all repositories at once are decided as each alone', async () => {
  fc.assert(
    fc.property(paths, fc.array(grant), limits, (unsorted, grants, narrowed) => {
      const all = unsorted.toSorted() as RepositoryPath[]
      const alice = { username: 'alice' }
      const ready = grants.filter(({ subject }) => subjectsOf(alice).includes(subject)).map(readyGrant)
      const expected = all.flatMap((path) => {
        const { role } = effectiveRole(alice, ready, path, true)
        return role === 'none' || !reaches(narrowed, path) ? [] : [{ path, role }]
      })
      const accessible = new AccessibleRepositories(all, grants)
      const writable = expected.filter(({ role }) => role !== 'read').length
      t.strictSame(accessible.list('alice', narrowed), expected)
      t.strictSame(accessible.count('alice', narrowed), { read: expected.length, write: writable })
    }),
  )
})
