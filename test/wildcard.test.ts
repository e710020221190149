import fc from 'fast-check'
import t from 'tap'
import { matchesWildcard } from '../src/wildcard.js'

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
    for (const text of matching) t.equal(matchesWildcard(pattern, text, '*'), true, `${pattern} is ${text}`)
    for (const text of others) t.equal(matchesWildcard(pattern, text, '*'), false, `${pattern} is not ${text}`)
  }
})

t.test('whatever the pattern and the text, it is what the definition says', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*]{0,8}$/), fc.stringMatching(/^[ab]{0,12}$/), (pattern, text) => {
      return matchesWildcard(pattern, text, '*') === isMatch(pattern, text)
    }),
    { numRuns: 5_000 },
  )
})

t.test('a text of which some parts are made wildcards is matched', async () => {
  const parts = fc.array(fc.record({ text: fc.string({ maxLength: 4 }), isWild: fc.boolean() }), { maxLength: 8 })
  fc.assert(
    fc.property(parts, (parts) => {
      const pattern = parts.map(({ text, isWild }) => (isWild ? '*' : text)).join('')
      return matchesWildcard(pattern, parts.map(({ text }) => text).join(''), '*')
    }),
  )
})

t.test('elements may be more than letters, and compared in another way', async (t) => {
  const fits = (pattern: string, segment: string) => segment.startsWith(pattern)
  t.equal(matchesWildcard(['a', '**', 'd'], ['apple', 'b', 'c', 'date'], '**', fits), true)
  t.equal(matchesWildcard(['a', '**', 'd'], ['apple', 'b', 'c', 'fig'], '**', fits), false)
  t.equal(matchesWildcard(['a', 'b'], ['apple'], '**', fits), false)
})

// Attack: a pattern of many wildcards, of which a regular expression took hours.
t.test('many wildcards and a long text take no time to speak of', async (t) => {
  const text = 'a'.repeat(20_000)
  t.equal(matchesWildcard(`${'*a'.repeat(100)}*b`, text, '*'), false)
  t.equal(matchesWildcard(`${'*a'.repeat(100)}b*`, text, '*'), false)
  t.equal(matchesWildcard(`${'*'.repeat(10_000)}a`, text, '*'), true)
})
