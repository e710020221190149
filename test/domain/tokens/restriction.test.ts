import fc from 'fast-check'
import t from 'tap'
import { isRefName } from '../../../src/protocol/pattern.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'
import type { RefVerb, Restrictions } from '../../../src/domain/tokens/restriction.js'
import {
  describeRestrictions,
  formatRefRule,
  isRestricted,
  parseRestrictions,
  reaches,
  REF_VERBS,
  UNRESTRICTED,
  verbsFor,
} from '../../../src/domain/tokens/restriction.js'

const rules = (...refs: readonly string[]): Restrictions => parseRestrictions([], refs)
const verbs = (restrictions: Restrictions, ref: string): string =>
  REF_VERBS.filter((verb) => verbsFor(restrictions, ref).has(verb)).join()

t.test('a rule is a pattern and what may be done; create and update where it does not say', async (t) => {
  const table = {
    main: 'refs/heads/main:create,update',
    'agent/*': 'refs/heads/agent/*:create,update',
    'refs/tags/v*': 'refs/tags/v*:create,update',
    'main:update': 'refs/heads/main:update',
    'main:force': 'refs/heads/main:force',
    'refs/tags/v*:delete,create': 'refs/tags/v*:create,delete',
    '*:delete,force,update,create': 'refs/heads/*:create,update,force,delete',
    'main:create,create': 'refs/heads/main:create',
  }
  for (const [text, rule] of Object.entries(table)) t.equal(rules(text).refs.map(formatRefRule).join(), rule, text)
})

t.test('a wrong rule is refused, and told what is possible', async (t) => {
  for (const text of ['main:', 'main:push', 'main:Update', 'main:create,', 'main:create, update', 'main:create;update'])
    t.throws(() => rules(text), { code: 'invalid', message: /the verbs are create, update, force, delete/ }, text)
  for (const text of ['main:create:update', 'main::', 'main:constructor', 'main:*', 'main:\x1b'])
    t.throws(() => rules(text), { code: 'invalid', message: /is not a verb|a verb is missing/ }, text)
  for (const text of ['', ':create', 'a b', 'a..b:create', '/main', 'refs/'])
    t.throws(() => rules(text), { code: 'invalid', message: /is not a ref pattern/ }, text)
  t.throws(() => rules('main', 'main:nope'), { code: 'invalid' }, 'one wrong rule is enough')
})

t.test('repositories are patterns of paths, each counted once', async (t) => {
  const restrictions = parseRestrictions(['team/*', 'docs/**', 'team/*'], [])
  t.strictSame(restrictions, { repositories: ['team/*', 'docs/**'], refs: [], within: null })
  for (const pattern of ['', '/', 'team/', '/team', '../team', 'a**', 'team/app.git', 'a\\b'])
    t.throws(() => parseRestrictions([pattern], []), { code: 'invalid', message: /not a repository pattern/ }, pattern)
})

t.test('a token takes a hundred patterns of either kind', async (t) => {
  const names = (count: number) => Array.from({ length: count }, (_, index) => `r${index}`)
  t.equal(parseRestrictions(names(100), names(100)).refs.length, 100)
  const refused = { code: 'invalid', message: 'a token can have at most 100 repository patterns' }
  t.throws(() => parseRestrictions(names(101), []), refused)
  t.throws(() => parseRestrictions([], names(101)), { ...refused, message: 'a token can have at most 100 ref rules' })
})

t.test('a token reaches the repositories of its patterns; without any, all', async (t) => {
  const table: readonly (readonly [patterns: string[], reached: string[], others: string[]])[] = [
    [[], ['app', 'team/app', 'a/b/c'], []],
    [['team/app'], ['team/app'], ['team/app2', 'team', 'Team/app', 'app', 'team/app/sub']],
    [['team/*'], ['team/app'], ['team/sub/app', 'team', 'teams/app']],
    [['team/**'], ['team/app', 'team/sub/app'], ['team', 'app']],
    [['docs/*', 'app'], ['docs/a', 'app'], ['team/app']],
  ]
  for (const [patterns, reached, others] of table) {
    const restrictions = parseRestrictions(patterns, ['main'])
    for (const path of reached)
      t.equal(reaches(restrictions, parseRepositoryPath(path)!), true, `${patterns.join()}: ${path}`)
    for (const path of others)
      t.equal(reaches(restrictions, parseRepositoryPath(path)!), false, `${patterns.join()}: not ${path}`)
  }
})

t.test('without rules everything may be done to a ref; with rules only what one of them says', async (t) => {
  t.equal(verbs(UNRESTRICTED, 'refs/heads/main'), 'create,update,force,delete')
  t.equal(verbs(parseRestrictions(['team/*'], []), 'refs/heads/main'), 'create,update,force,delete')
  const agent = rules('agent/*', 'agent/1:delete', 'refs/tags/*:create')
  t.equal(verbs(agent, 'refs/heads/agent/2'), 'create,update')
  t.equal(verbs(agent, 'refs/heads/agent/1'), 'create,update,delete', 'rules add up')
  t.equal(verbs(agent, 'refs/tags/v1'), 'create')
  for (const ref of ['refs/heads/main', 'refs/heads/agent', 'refs/heads/Agent/1', 'refs/notes/agent/1', 'agent/1'])
    t.equal(verbs(agent, ref), '', ref)
})

t.test('whoever may force may update, too', async (t) => {
  t.equal(verbs(rules('main:force'), 'refs/heads/main'), 'update,force')
  t.equal(verbs(rules('main:force,delete'), 'refs/heads/main'), 'update,force,delete')
  t.equal(verbs(rules('main:update'), 'refs/heads/main'), 'update')
})

t.test('restrictions are told in a few words', async (t) => {
  t.equal(describeRestrictions(UNRESTRICTED), '-')
  t.equal(describeRestrictions(parseRestrictions(['team/*'], ['main'])), 'team/* refs/heads/main:create,update')
  t.equal(isRestricted(UNRESTRICTED), false)
  t.equal(isRestricted(rules('main')), true)
  t.equal(isRestricted(parseRestrictions(['app'], [])), true)
})

const someVerbs = fc.subarray<RefVerb>([...REF_VERBS], { minLength: 1 })
const somePattern = fc
  .array(fc.constantFrom('a', 'B', 'é', '*', '/x', '-', '.z', 'refs/heads/', 'refs/tags/'), {
    minLength: 1,
    maxLength: 5,
  })
  .map((pieces) => pieces.join(''))
  .filter((text) => isRefName(`refs/heads/${text.replaceAll('*', 'x')}`))

t.test('a rule that is written out is read again as the same rule', async () => {
  fc.assert(
    fc.property(somePattern, fc.option(someVerbs), (pattern, verbs) => {
      const [rule] = rules(verbs === null ? pattern : `${pattern}:${verbs.toReversed().join()}`).refs
      const [again] = rules(formatRefRule(rule!)).refs
      return JSON.stringify(again) === JSON.stringify(rule) && (verbs === null || rule!.verbs.join() === verbs.join())
    }),
  )
})

t.test('whatever is typed as a rule, it is one or a refusal', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a/*.:,]{0,9}(update|force)?$/))
  fc.assert(
    fc.property(text, (text) => {
      try {
        return rules(text).refs[0]!.verbs.length > 0
      } catch (error) {
        return error instanceof Error && error.name === 'GitgateError'
      }
    }),
    { numRuns: 1_000 },
  )
})
