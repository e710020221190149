// Thousands of generated connections: see security/raw-requests.test.ts.
import t from 'tap'
import { newSeed } from '../seeds.js'
import { checkRawRequests } from '../security/raw-requests.js'

t.test('what the gate refuses never reaches the server behind it, and nothing reaches it twice', async (t) => {
  const count = await checkRawRequests(t, 3_000, newSeed())
  t.ok(count > 600, `${count} requests reach it`)
})
