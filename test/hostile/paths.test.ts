// A million generated paths: see security/forwarded-paths.test.ts.
import t from 'tap'
import { newSeed } from '../seeds.js'
import { checkPaths } from '../security/forwarded-paths.js'

const PATHS = 1_000_000
// So that the memory of one run is that of a part.
const PARTS = 20

t.test('what is authorised is what is served, for a million paths', async (t) => {
  let count = 0
  for (let part = 0; part < PARTS; part++) count += await checkPaths(t, PATHS / PARTS, newSeed())
  t.ok(count > PATHS / 20, `${count} of them are Git requests`)
})
