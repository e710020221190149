// Attack: a path that the gate reads as one repository and the server behind it as another. `npm run test:hostile` tries a
// million; these are a few.
import t from 'tap'
import { KEPT_SEEDS } from '../seeds.js'
import { checkPaths } from './forwarded-paths.js'

t.test('what is authorised is what is served, whatever the path', async (t) => {
  for (const seed of KEPT_SEEDS) {
    const count = await checkPaths(t, 10_000, seed)
    t.ok(count > 500, `${count} of 10,000 are Git requests`)
  }
})
