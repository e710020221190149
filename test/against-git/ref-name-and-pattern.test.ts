import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { isBranch, isRefName, parseRefPattern, wildcardMatcher } from '../../src/protocol/pattern.js'

/** Pieces of which names are made that are right, wrong, or almost one or the other. */
const PIECES = [
  ...[
    'a',
    'heads/',
    'v1',
    'é',
    '\u{1f600}',
    '\u00a0',
    '-',
    '_',
    '#',
    '"',
    "'",
    '%',
    '{',
    '}',
    '@',
    '$(id)',
    'lock',
    '.LOCK',
  ],
  ...['/', '//', '.', '..', '/.', './', '.lock', '.lock/', '@{', '@{u}'],
  ...['~', '^', ':', '?', '*', '[', ']', '\\', ' ', '\t', '\n', '\r', '\x01', '\x1b', '\x1f', '\x7f'],
]
const someName = fc.array(fc.constantFrom(...PIECES), { maxLength: 5 }).map((pieces) => `refs/${pieces.join('')}`)
const someRef = fc
  .array(fc.constantFrom('a', 'b', 'lock', '.x', '-', 'é', '/c', '/loc', '@'), { minLength: 1, maxLength: 6 })
  .map((pieces) => `refs/heads/${pieces.join('')}`)
  .filter(isRefName)

t.test('a name is one where git check-ref-format says so', async () => {
  fc.assert(
    fc.property(someName, (name) => {
      const { status, error } = spawnSync('git', ['check-ref-format', name])
      if (error !== undefined) throw error
      return isRefName(name) === (status === 0)
    }),
    { numRuns: 150 },
  )
})

t.test('each rule by itself', async (t) => {
  for (const name of [
    'refs/a',
    'refs/heads/main',
    'refs/heads/a.b',
    'refs/@',
    'refs/heads/@',
    'refs/heads/-x',
    'refs/a/b',
  ])
    t.equal(isRefName(name), true, name)
  const wrong = ['', 'main', 'HEAD', 'refs', 'refs/', 'refs//a', '/refs/a', 'Refs/heads/a', 'refs/heads/', 'refs/a\0b']
  const others = [
    'refs/a..b',
    'refs/.a',
    'refs/a/.b',
    'refs/a.',
    'refs/a.lock',
    'refs/a.lock/b',
    'refs/a@{b',
    'refs/a b',
  ]
  for (const name of [...wrong, ...others]) t.equal(isRefName(name), false, JSON.stringify(name))
})

t.test('branches are below refs/heads/', async (t) => {
  t.equal(isBranch('refs/heads/a/b'), true)
  for (const ref of ['refs/tags/a', 'refs/headsup', 'refs/Heads/a', 'xrefs/heads/a']) t.equal(isBranch(ref), false, ref)
})

t.test('a short pattern is about branches; one that begins with refs/ is whole', async (t) => {
  const patterns = {
    main: 'refs/heads/main',
    '*': 'refs/heads/*',
    'agent/*': 'refs/heads/agent/*',
    'heads/main': 'refs/heads/heads/main',
    'refs/heads/main': 'refs/heads/main',
    'refs/tags/v*': 'refs/tags/v*',
    'refs/*': 'refs/*',
    'refs/**': 'refs/**',
    'a*.*z': 'refs/heads/a*.*z',
    '*.lock*': 'refs/heads/*.lock*',
    refs: 'refs/heads/refs',
    'caf\u00e9/*': 'refs/heads/caf\u00e9/*',
  }
  for (const [text, pattern] of Object.entries(patterns)) t.equal(parseRefPattern(text), pattern, text)
})

t.test('a pattern that could never match a ref is refused, and told how to be written', async (t) => {
  const wrong = [
    '',
    ' ',
    'a b',
    '/main',
    'main/',
    'a//b',
    'agent/',
    '.*',
    '*.',
    '*.lock',
    'a..*',
    'a/.b',
    'refs/',
    'refs//*',
  ]
  for (const text of [...wrong, 'main:force', '^main', 'a~1', 'a?', 'v[12]', 'a\\b', 'a@{1}', 'a\n', '\0', '*/', '/*'])
    t.throws(() => parseRefPattern(text), { code: 'invalid', message: /is not a ref pattern; use main, agent/ }, text)
  t.throws(
    () => parseRefPattern('a\x1b[2J b'),
    { message: /^"a\ufffd\[2J b" is not/ },
    'what does not print is not printed',
  )
})

t.test('a wildcard stands for any characters, slashes among them; letters count in their case', async (t) => {
  const table: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
    [
      'main',
      ['refs/heads/main'],
      ['refs/heads/main2', 'refs/heads/Main', 'refs/heads/x/main', 'refs/tags/main', 'main'],
    ],
    ['agent/*', ['refs/heads/agent/1', 'refs/heads/agent/a/b'], ['refs/heads/agent', 'refs/heads/my-agent/1']],
    ['*', ['refs/heads/main', 'refs/heads/a/b'], ['refs/tags/v1', 'refs/notes/commits']],
    ['refs/tags/v*', ['refs/tags/v', 'refs/tags/v1.2'], ['refs/tags/1', 'refs/heads/v1']],
    ['refs/*', ['refs/heads/a', 'refs/notes/commits'], ['HEAD']],
    [
      'release/*/hotfix',
      ['refs/heads/release/1/hotfix', 'refs/heads/release/1/2/hotfix'],
      ['refs/heads/release/hotfix'],
    ],
    ['a.b', ['refs/heads/a.b'], ['refs/heads/axb']],
  ]
  for (const [text, matching, others] of table) {
    const pattern = parseRefPattern(text)
    for (const ref of matching) t.equal(wildcardMatcher(pattern)(ref), true, `${text}: ${ref}`)
    for (const ref of others) t.equal(wildcardMatcher(pattern)(ref), false, `${text}: not ${ref}`)
  }
})

t.test('a ref is a pattern of itself, and so it is with any part of it made a wildcard', async () => {
  fc.assert(
    fc.property(someRef, fc.nat(), fc.nat(), (ref, one, other) => {
      const start = 'refs/heads/'.length
      const [from, to] = [one, other].map((at) => start + (at % (ref.length - start + 1))).toSorted((a, b) => a - b)
      const pattern = parseRefPattern(`${ref.slice(0, from)}*${ref.slice(to)}`)
      return parseRefPattern(ref) === ref && wildcardMatcher(ref)(ref) && wildcardMatcher(pattern)(ref)
    }),
  )
})
