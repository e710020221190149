import fc from 'fast-check'
import t from 'tap'
import { countWildcards, wildcardMatcher } from '../../src/protocol/pattern.js'

/** What a wildcard means, said in the simplest way; it takes for ever for long texts. */
function isMatch(pattern: string, text: string): boolean {
  const [first] = pattern
  if (first === undefined) return text === ''
  if (first === '*') return isMatch(pattern.slice(1), text) || (text !== '' && isMatch(pattern, text.slice(1)))
  return first === text[0] && isMatch(pattern.slice(1), text.slice(1))
}

t.test('a wildcard stands for any run of elements, none among them', async (t) => {
  const table: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
    ['', [''], ['a']],
    ['*', ['', 'a', 'abc'], []],
    ['abc', ['abc'], ['', 'ab', 'abcd', 'xabc', 'ABC']],
    ['a*', ['a', 'ab', 'aaa'], ['', 'ba']],
    ['*a', ['a', 'ba', 'aaa'], ['', 'ab']],
    ['a*b', ['ab', 'aab', 'abb', 'abab'], ['a', 'b', 'abc', 'ba']],
    ['a**b', ['ab', 'axxb'], ['a', 'abx']],
    ['*a*b*', ['ab', 'xaxbx', 'aabb'], ['ba', 'a', '']],
    ['a*b*a', ['aba', 'abba', 'aabaa', 'abababa'], ['aa', 'ab', 'abab']],
  ]
  for (const [pattern, matching, others] of table) {
    for (const text of matching) t.equal(wildcardMatcher(pattern)(text), true, `${pattern} is ${text}`)
    for (const text of others) t.equal(wildcardMatcher(pattern)(text), false, `${pattern} is not ${text}`)
  }
})

t.test('whatever the pattern and the text, it is what the definition says', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*]{0,8}$/), fc.stringMatching(/^[ab]{0,12}$/), (pattern, text) => {
      return wildcardMatcher(pattern)(text) === isMatch(pattern, text)
    }),
    { numRuns: 5_000 },
  )
})

t.test('a text of which some parts are made wildcards is matched', async () => {
  const parts = fc.array(fc.record({ text: fc.string({ maxLength: 4 }), isWild: fc.boolean() }), { maxLength: 8 })
  fc.assert(
    fc.property(parts, (parts) => {
      const pattern = parts.map(({ text, isWild }) => (isWild ? '*' : text)).join('')
      return wildcardMatcher(pattern)(parts.map(({ text }) => text).join(''))
    }),
  )
})

t.test('wildcards side by side count as one', async (t) => {
  t.strictSame(['', 'a', '*', '**', 'a*b*', '**/*'].map(countWildcards), [0, 0, 1, 1, 2, 2])
})

// Attack: patterns and texts that differ only at the end of each comparison: 32 s for 40 kB, hours for a regular expression.
t.test('many wildcards and a long text take no time to speak of', async (t) => {
  const text = 'a'.repeat(1_000_000)
  const run = 'a'.repeat(240)
  const table: readonly (readonly [pattern: string, isMatch: boolean])[] = [
    [`${'*a'.repeat(100)}*b`, false],
    [`${'*a'.repeat(100)}b*`, false],
    [`${'*'.repeat(10_000)}a`, true],
    [`*${run}b*`, false],
    [`*b${run}*`, false],
    [`*${run}b${run}*`, false],
    [`*${run}*b`, false],
    [`${`*${run}`.repeat(8)}*`, true],
  ]
  const started = performance.now()
  for (const [pattern, isMatch] of table) t.equal(wildcardMatcher(pattern)(text), isMatch, pattern.slice(0, 20))
  // They took 20 ms; a matcher that backtracks takes seconds for each.
  t.ok(performance.now() - started < 2_000)
})
