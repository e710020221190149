// Attack: two batches a second for a day over one connection. Each left a listener behind, 172,800 of them.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t from 'tap'
import { SyslogTarget } from '../../src/audit-export/syslog.js'

t.test('a connection to a syslog server keeps no listener of a batch that was sent', async (t) => {
  const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const target = new SyslogTarget(new URL(`syslog+tcp://127.0.0.1:${(server.address() as AddressInfo).port}`))
  t.teardown(() => {
    target.close()
    server.close()
  })
  const warnings: Error[] = []
  const warn = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  for (let batch = 0; batch < 30; batch += 1) await target.write([])
  // Node warns of the eleventh listener, on the next tick.
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(warnings, [])
})
