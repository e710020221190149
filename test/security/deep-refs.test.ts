// Attack: a few refs of 1,900 levels each, 358 bytes of gzip, for which Git makes 38,000 folders. The gate then walks all of them at
// once to see whether there are many loose refs, and stops for 3.7 s.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hasManyLooseRefs, MAX_LOOSE_REFS } from '../../src/git/embedded/ref-packing.js'
import { createBareRepository } from '../git/embedded/bare-repository.js'
import { command, encodeHead, parseInPieces, ZERO } from '../protocol/push-bytes.js'

const named = (levels: number) => encodeHead({ commands: [command(`refs${'/a'.repeat(levels - 1)}`, ZERO)] })

t.test("a push can't name a ref of more than 32 levels", async (t) => {
  t.match(parseInPieces([named(32)]).parsing, { kind: 'head' })
  for (const levels of [33, 1_900])
    t.match(parseInPieces([named(levels)]).parsing, { kind: 'malformed', reason: /more than 32 levels/ })
})

// Attack: a push of 50,000 refs of 32 levels each makes 1.5 million folders: gigabytes, which Git goes through for each fetch.
t.test("a push can't make millions of folders", async (t) => {
  const refs = (count: number, levels: number) =>
    encodeHead({
      commands: Array.from({ length: count }, (_, index) => command(`refs/h${index}${'/a'.repeat(levels - 2)}`, ZERO)),
    })
  t.match(parseInPieces([refs(416, 32)]).parsing, { kind: 'head' })
  t.match(parseInPieces([refs(417, 32)]).parsing, { kind: 'malformed', reason: /refs have more than 8 levels/ })
  t.match(parseInPieces([refs(20_000, 8)]).parsing, { kind: 'head' })
})

t.test('many folders count like many loose refs, and are not walked further', async (t) => {
  const { where } = await createBareRepository(t)
  t.equal(hasManyLooseRefs(where), false)
  mkdirSync(join(where, 'refs/heads', 'a/'.repeat(MAX_LOOSE_REFS)), { recursive: true })
  t.equal(hasManyLooseRefs(where), true)
})
