// Pages that were left open: in another window, or for longer than a session lasts.
import t from 'tap'
import type { Test } from 'tap'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'

const PASSWORD = 'correct horse battery'

async function open(t: Test) {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  return { world, client: new FormClient(world.url) }
}

t.test('who has signed in or out in another window is where they wanted to be', async (t) => {
  const { client } = await open(t)
  const csrf_token = await client.csrfToken('/users/sign_in')
  await client.signIn('alice', PASSWORD)
  const again = { login: 'alice', password: PASSWORD, csrf_token }
  t.equal((await client.send('/users/sign_in', again)).headers['location'], '/')
  const old = await client.csrfToken('/')
  await client.submit('/users/sign_out', {}, '/')
  t.equal((await client.send('/users/sign_out', { csrf_token: old })).headers['location'], '/users/sign_in')
})

t.test('whose session has ended is told so, and led back', async (t) => {
  const { client } = await open(t)
  await client.signIn('alice', PASSWORD)
  const csrf_token = await client.csrfToken('/')
  client.cookies.clear()
  const page = '/-/user_settings/active_sessions'
  const { headers } = await client.send(`${page}/5/end`, { csrf_token })
  t.equal(headers['location'], `/users/sign_in?${new URLSearchParams({ from: 'ended', return_to: page }).toString()}`)
  const { body } = await client.get(String(headers['location']))
  t.match(body, /Your session has expired.*name="return_to" value="\/-\/user_settings\/active_sessions"/s)
})
