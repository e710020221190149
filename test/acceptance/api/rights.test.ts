// Grants and protected refs over the API: gitgate's own calls.
import t from 'tap'
import { createWorld } from '../world.js'

t.test('an administrator grants, protects, and takes both back', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const alice = await world.token('alice', 'api')
  const call = async (method: string, path: string, body?: object, token = secret) => {
    const answer = await world.http(`/api/v4/gitgate/${path}`, {
      method,
      headers: { 'PRIVATE-TOKEN': token, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: answer.body === '' ? undefined : (JSON.parse(answer.body) as unknown) }
  }
  await world.seedRepository('team/app')
  const pull = async () =>
    (await world.http('/team/app.git/info/refs?service=git-upload-pack', { password: alice })).status
  t.equal(await pull(), 404)
  const grant = { subject: 'alice', role: 'write', pattern: 'team/**' }
  t.match(await call('POST', 'grants', grant), { status: 201, body: grant })
  t.equal(await pull(), 200, 'from the next request on')
  t.match(await call('GET', 'grants'), { status: 200, body: [grant] })
  t.equal((await call('DELETE', 'grants?subject=alice&pattern=team/**')).status, 204)
  t.equal(await pull(), 404)
  t.match(await call('DELETE', 'grants?subject=alice&pattern=team/**'), { status: 404 })
  for (const bad of [{ ...grant, subject: 'nobody' }, { ...grant, role: 'owner' }, { subject: 'alice' }])
    t.equal((await call('POST', 'grants', bad)).status, 400)
  t.equal((await call('POST', 'grants', { ...grant, pattern: '../x' })).status, 422)

  const refs = { repositories: 'team/*', refs: 'main' }
  const stored = { repositories: 'team/*', refs: 'refs/heads/main', push: 'admin', force: 'nobody', delete: 'nobody' }
  t.match(await call('POST', 'protected_refs', refs), { status: 201, body: stored })
  t.match(await call('GET', 'protected_refs'), { status: 200, body: [stored] })
  t.equal((await call('DELETE', 'protected_refs?repositories=team/*&refs=main')).status, 204)
  for (const path of ['grants', 'protected_refs']) t.equal((await call('GET', path, undefined, alice)).status, 403)
})

t.test('the log names who called, and what became of it', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('alice', 'api')
  for (const path of ['user', 'gitgate/grants', 'nothing'])
    await world.http(`/api/v4/${path}`, { headers: { 'PRIVATE-TOKEN': secret } })
  const lines = world.log.split('\n').filter((line) => line.includes('"method":"GET"'))
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  t.match(entries, [
    { user: 'alice', token_id: 1, status: 200, decision: 'served' },
    { user: 'alice', status: 403, decision: 'refused' },
    { status: 404, decision: 'refused' },
  ])
  t.notMatch(world.log, secret)
})
