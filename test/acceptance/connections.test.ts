import { connect } from 'node:net'
import t from 'tap'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'
import { createWorld } from './world.js'

t.test('an IPv6 address may be written as in a URL', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  for (const host of ['[::1]', '::1']) {
    const gate = await cli.serve(t, ['serve', '--host', host, '--port', '0'])
    t.match(gate.url, /^http:\/\/\[::1\]:\d+$/)
    const { port } = new URL(gate.url)
    await new Promise((resolve, reject) => connect(Number(port), '::1').on('connect', resolve).on('error', reject))
    await gate.stop()
  }
})

t.test('a connection that its client resets is logged with the status 0, since nothing was sent', async (t) => {
  const world = await createWorld(t)
  const { port } = new URL(world.url)
  for (const bytes of ['GET / HTTP/1.1\r\nHo', 'GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n']) {
    const { length } = world.log
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes))
    if (bytes.endsWith('\r\n\r\n')) await new Promise((resolve) => socket.once('data', resolve))
    else await until(() => socket.bytesWritten === bytes.length)
    // The gate has read it once it answers somebody else.
    await http(world.url, '/-/health')
    socket.resetAndDestroy()
    await until(() => world.log.slice(length).includes('ECONNRESET'))
    t.match(world.log.slice(length), /"status":0,"reason":"ECONNRESET"/)
  }
})

t.test('a proxy that is not trusted is named in the log, once', async (t) => {
  const untrusted = await createWorld(t)
  const trusted = await createWorld(t, { trustedProxies: '127.0.0.1' })
  for (const world of [untrusted, trusted])
    for (let i = 0; i < 3; i++) await http(world.url, '/-/health', { headers: { 'X-Forwarded-For': '192.0.2.1' } })
  await until(() => untrusted.log.includes('GITGATE_TRUSTED_PROXIES'))
  t.equal(untrusted.log.match(/GITGATE_TRUSTED_PROXIES/g)?.length, 1)
  t.notMatch(trusted.log, /GITGATE_TRUSTED_PROXIES/)
})
