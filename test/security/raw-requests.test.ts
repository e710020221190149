// Attack: requests that the gate reads in one way and the server behind it in another: two lengths, chunks, odd line ends, a
// request within another's body. `npm run test:hostile` sends many more of them.
import t from 'tap'
import { KEPT_SEEDS } from '../seeds.js'
import { checkRawRequests } from './raw-requests.js'

t.test('what the gate refuses never reaches the server behind it, and nothing reaches it twice', async (t) => {
  for (const seed of KEPT_SEEDS) {
    const count = await checkRawRequests(t, 150, seed)
    t.ok(count > 30, `${count} requests reach it`)
  }
})
