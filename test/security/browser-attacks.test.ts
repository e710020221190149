// What a page of somebody else's can do to who is signed in: nothing. And what the pages cost.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { inspectPage, NO_BROWSER, signIn, startBrowser, visit } from '../pages/browser.js'
import { FormClient } from '../pages/form-client.js'
import { createWorld } from '../acceptance/world.js'

const PASSWORD = 'correct horse battery'
// Of the gate and the test's client together.
const MAX_CPU_MS = 50

t.test('a page of another site can neither send forms nor frame', { skip: NO_BROWSER }, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const evil = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end(`<iframe name="frame" src="${world.url}/"></iframe>
      <form id="out" method="post" action="${world.url}/users/sign_out"><button>Win a prize</button></form>`)
  })
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
  t.teardown(() => evil.close())
  // Another name for the same machine: another site to a browser.
  const elsewhere = `http://localhost:${(evil.address() as AddressInfo).port}/`

  const { page } = await visit(await startBrowser(), world.url)
  await signIn(page, 'alice', PASSWORD)
  await page.goto(elsewhere)
  const shown = await Promise.all(page.frames().map((frame) => frame.content()))
  t.notMatch(shown.join(), 'Repositories', 'nothing of ours is in the frame')
  await page.getByRole('button', { name: 'Win a prize' }).click()
  t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'This form has expired')
  await inspectPage(t, page, 'form-not-ours')
  await page.goto(world.url)
  t.match(await page.getByRole('heading', { level: 1 }).textContent(), 'Repositories', 'still signed in')
})

t.test(`a page takes at most ${MAX_CPU_MS} ms of CPU`, async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  for (const path of [
    '/',
    '/-/user_settings/password',
    '/-/user_settings/active_sessions',
    '/-/user_settings/two_factor_auth',
  ]) {
    const times: number[] = []
    for (let run = 0; run < 9; run++) {
      const before = process.cpuUsage()
      t.equal((await alice.get(path)).status, 200)
      const { user, system } = process.cpuUsage(before)
      times.push((user + system) / 1_000)
    }
    const median = times.sort((a, b) => a - b)[4]!
    t.ok(median < MAX_CPU_MS, `${path}: ${median.toFixed(1)} ms`)
  }
})
