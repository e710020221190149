import t from 'tap'
import { http } from './http-client.js'
import { createWorld } from './world.js'

t.test('/-/metrics tells how late the event loop is, what git does and what the cache did', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('alice/app')
  const password = await world.token('alice', 'read_repository')
  await http(world.url, '/-/metrics')
  const options = { password, headers: { 'Git-Protocol': 'version=2' } }
  for (let i = 0; i < 2; i++) await http(world.url, '/alice/app.git/info/refs?service=git-upload-pack', options)
  const { status, headers, body } = await http(world.url, '/-/metrics')
  t.equal(status, 200)
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  for (const line of [
    /^nodejs_eventloop_lag_p99_seconds 0\.\d+$/m,
    /^process_resident_memory_bytes \d+$/m,
    /^gitgate_git_runs\{kind="packs",state="running"\} 0$/m,
    /^gitgate_git_runs\{kind="pushes",state="waiting"\} 0$/m,
    /^gitgate_cache_requests_total\{result="hit"\} 1$/m,
    /^gitgate_cache_requests_total\{result="miss"\} 1$/m,
    /^gitgate_cache_entries 1$/m,
  ])
    t.match(body, line)
})

// Attack: a stranger reads who works when; a proxy on this machine makes a local client of everybody.
t.test('who is not allowed finds no metrics', async (t) => {
  const proxied = { headers: { 'X-Forwarded-For': '203.0.113.7' } }
  const world = await createWorld(t)
  t.match(await http(world.url, '/-/metrics', proxied), { status: 404, body: 'Not Found' })
  t.match(await http(world.url, '/-/metrics', { headers: { Forwarded: 'for=203.0.113.7' } }), { status: 404 })
  const elsewhere = await createWorld(t, { metricsAllow: '203.0.113.0/24', trustedProxies: '127.0.0.1' })
  t.match(await http(elsewhere.url, '/-/metrics'), { status: 404, body: 'Not Found' })
  t.match(await http(elsewhere.url, '/-/metrics', proxied), { status: 200 })
})
