import vm from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import type { Grant, Role } from '../../../src/domain/access/grant.js'
import {
  includes,
  parseGrant,
  parseSubject,
  readyGrant,
  effectiveRole,
  subjectsOf,
} from '../../../src/domain/access/grant.js'
import { checkRepositoryPattern, repositoryMatcher } from '../../../src/protocol/pattern.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'

function path(text: string): RepositoryPath {
  const parsed = parseRepositoryPath(text, 'upstream')
  if (parsed === undefined) throw new TypeError(`${text} is no repository`)
  return parsed
}

function matches(pattern: string, text: string): boolean {
  return repositoryMatcher(pattern)(path(text))
}

t.test('a pattern takes the repositories that it says, and no others', async (t) => {
  const cases: Readonly<Record<string, { readonly takes: readonly string[]; readonly leaves: readonly string[] }>> = {
    'team/app': { takes: ['team/app'], leaves: ['team/apps', 'team/app/x', 'x/team/app', 'team', 'Team/app', 'app'] },
    'team/*': { takes: ['team/app', 'team/a.b'], leaves: ['team', 'team/a/b', 'teams/app', 'x/team/app'] },
    'team/**': { takes: ['team/app', 'team/a/b/c'], leaves: ['team', 'teams/app', 'x/team/app'] },
    '*': { takes: ['app', '_'], leaves: ['team/app'] },
    '**': { takes: ['app', 'team/app', 'a/b/c/d'], leaves: [] },
    '**/app': { takes: ['app', 'team/app', 'a/b/app'], leaves: ['team/apps', 'app/x', 'myapp'] },
    'team/**/app': { takes: ['team/app', 'team/a/app', 'team/a/b/app'], leaves: ['app', 'team/app/x', 'teamx/app'] },
    '*/app': { takes: ['team/app'], leaves: ['app', 'a/b/app'] },
    'team/web-*': { takes: ['team/web-', 'team/web-a'], leaves: ['team/web', 'team/web-a/b', 'team/a-web-'] },
    'team/*-web': { takes: ['team/a-web', 'team/a-b-web'], leaves: ['team/web', 'team/a-web-b'] },
    // A dot is a dot.
    'team/a.b': { takes: ['team/a.b'], leaves: ['team/axb', 'team/a-b'] },
    // Names that repositories on other servers may have.
    'tëam/my *+': { takes: ['tëam/my app+'], leaves: ['tëam/my app', 'team/my app+'] },
    '**/**': { takes: ['a', 'a/b', 'a/b/c'], leaves: [] },
  }
  for (const [pattern, { takes, leaves }] of Object.entries(cases)) {
    t.doesNotThrow(() => checkRepositoryPattern(pattern), pattern)
    for (const repository of takes) t.ok(matches(pattern, repository), `${pattern} takes ${repository}`)
    for (const repository of leaves) t.notOk(matches(pattern, repository), `${pattern} leaves ${repository}`)
  }
})

t.test('what is no pattern is refused', async (t) => {
  const wrong = [
    '',
    '/',
    '/team',
    'team/',
    'team//app',
    'team/***',
    'team/a**',
    'team/**a',
    '**a/b',
    'team/app.git',
    '*.git',
  ]
  const regular = ['team/(a|b)', 'team/[ab]', 'team/a?', '^a$', 'a\\b', '{a,b}', '!team/a', 'a|b', ' a', 'a ', 'a\n']
  for (const pattern of [...wrong, ...regular, 'team/%61', '@all', 'a\u0308/*', 'x/'.repeat(512) + 'x'])
    t.throws(
      () => checkRepositoryPattern(pattern),
      { code: 'invalid', message: /without \.git/ },
      JSON.stringify(pattern),
    )
})

/** What a pattern means, written down a second time and without regular expressions. */
function takes(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return path.length === 0
  if (first !== '**') return path.length > 0 && takesSegment(first, path[0]!) && takes(rest, path.slice(1))
  // At the end it stands for one segment at least, elsewhere for none, too.
  if (rest.length === 0) return path.length > 0
  return path.some((_, index) => takes(rest, path.slice(index)))
}

function takesSegment(pattern: string, text: string): boolean {
  const [head = '', ...pieces] = pattern.split('*')
  if (pieces.length === 0) return pattern === text
  if (!text.startsWith(head)) return false
  const last = pieces.pop() ?? ''
  let at = head.length
  for (const piece of pieces) {
    const found = text.indexOf(piece, at)
    if (found === -1) return false
    at = found + piece.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

t.test('patterns mean the same as their plain reading, segment by segment', async () => {
  const segments = (segment: fc.Arbitrary<string>) => fc.array(segment, { minLength: 1, maxLength: 5 })
  const pattern = segments(fc.oneof(fc.constant('**'), fc.stringMatching(/^[ab.*]{1,4}$/))).filter((segments) =>
    isPattern(segments.join('/')),
  )
  const repository = segments(fc.stringMatching(/^[ab][ab.]{0,4}$/))
  fc.assert(
    fc.property(pattern, repository, (pattern, repository) => {
      return matches(pattern.join('/'), repository.join('/')) === takes(pattern, repository)
    }),
    { numRuns: 3_000 },
  )
})

function isPattern(text: string): boolean {
  try {
    checkRepositoryPattern(text)
    return true
  } catch {
    return false
  }
}

// Attack: anybody may ask for a path that a regular expression needs hours to say no to; nothing else is served meanwhile.
t.test('no path keeps a pattern busy', async (t) => {
  const cases = [
    ['team/*-*-*-*-*-*-*-x', `team/a${'-'.repeat(250)}`],
    [`${'*a'.repeat(20)}b`, 'a'.repeat(251)],
    [`${'**/'.repeat(12)}b`, 'a/'.repeat(400) + 'a'],
  ] as const
  for (const [pattern, repository] of cases) {
    const matcher = repositoryMatcher(pattern)
    // Two seconds are thousands of times what it may take.
    const ask = () =>
      vm.runInNewContext('matcher(path)', { matcher, path: path(repository) }, { timeout: 2_000 }) as boolean
    t.doesNotThrow(() => t.equal(ask(), false), pattern)
  }
})

t.test('a grant is read from its parts', async (t) => {
  t.strictSame(parseGrant('alice', 'write', 'team/**'), { subject: 'alice', role: 'write', pattern: 'team/**' })
  t.strictSame(parseGrant('Alice', 'admin', '**').subject, 'alice', 'a username counts in any case')
  t.strictSame(parseGrant('@all', 'write', '*').subject, '@all')
  t.strictSame(parseGrant('@anonymous', 'read', 'docs/*').subject, '@anonymous')
})

t.test('a grant with a part that means nothing is refused', async (t) => {
  const cases: readonly (readonly [string, string, string, RegExp])[] = [
    ['alice', 'owner', '**', /not a role; the roles are read, write, admin/],
    ['alice', 'Read', '**', /not a role/],
    ['alice', 'none', '**', /not a role/],
    ['@anonymous', 'write', '**', /@anonymous can only read/],
    ['@anonymous', 'admin', '**', /@anonymous can only read/],
    ['@everyone', 'read', '**', /@all or @anonymous/],
    ['@Anonymous', 'write', '**', /not a subject/],
    ['@', 'read', '**', /not a subject/],
    ['', 'read', '**', /username/],
    ['a b', 'read', '**', /username/],
    ['alice', 'read', 'team/', /pattern/],
  ]
  for (const [subject, role, pattern, message] of cases)
    t.throws(() => parseGrant(subject, role, pattern), { code: 'invalid', message }, `${subject} ${role} ${pattern}`)
  t.equal(parseSubject('BOB'), 'bob')
})

t.test('a role includes those before it', async (t) => {
  const roles = ['none', 'read', 'write', 'admin'] as const
  for (const [index, role] of roles.entries())
    for (const [other, wanted] of roles.entries())
      if (wanted !== 'none') t.equal(includes(role, wanted), index >= other, `${role} includes ${wanted}`)
})

t.test('for an account count the grants to everybody, to all who are signed in, and to its name', async (t) => {
  t.strictSame(subjectsOf({ username: 'Alice' }), ['@anonymous', '@all', 'alice'])
  t.strictSame(subjectsOf(undefined), ['@anonymous'])
})

function grants(...list: readonly (readonly [role: Role, pattern: string])[]) {
  return list.map(([role, pattern], index): ReturnType<typeof readyGrant> => {
    const grant: Grant = { id: index + 1, subject: 'alice', role, pattern }
    return readyGrant(grant)
  })
}

t.test('the strongest of the grants that match decides, and is named', async (t) => {
  const alice = { username: 'alice' }
  const list = grants(['read', '**'], ['admin', 'other/*'], ['write', 'team/*'], ['read', 'team/app'])
  const rule = 'grant 3 (alice write team/*)'
  for (const order of [list, list.toReversed()])
    t.strictSame(effectiveRole(alice, order, path('team/app'), false), { role: 'write', rule })
  t.equal(effectiveRole(alice, list, path('x/y'), false).role, 'read')
  t.strictSame(effectiveRole(alice, [], path('team/app'), false), { role: 'none', rule: 'no grant' })
  t.strictSame(effectiveRole(undefined, list, path('other/x'), true).role, 'admin', 'the caller chose the grants')
})

t.test(
  'an account owns the group of its name where the server is ours, and nothing that only resembles it',
  async (t) => {
    const alice = { username: 'alice' }
    const role = (text: string, ownsGroup: boolean) => effectiveRole(alice, [], path(text), ownsGroup).role
    for (const repository of ['alice/app', 'alice/a/b/c']) {
      t.equal(role(repository, true), 'admin', repository)
      t.equal(role(repository, false), 'none', repository)
    }
    for (const repository of ['alice', 'alice2/app', 'alic/app', 'x/alice/app', 'Alice/app']) {
      t.equal(role(repository, true), 'none', repository)
    }
    t.equal(effectiveRole(undefined, [], path('alice/app'), true).role, 'none')
    t.equal(
      effectiveRole(alice, grants(['read', 'alice/app']), path('alice/app'), true).role,
      'admin',
      'no grant takes it away',
    )
  },
)
