// The gate runs out of file descriptors while clients push, clone and create tokens, because idle connections take them all.
import { execFileSync } from 'node:child_process'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import t from 'tap'
import { FaultWorld } from './fault-world.js'

const LIMIT = 160
const ATTEMPTS = 15

t.test('descriptors run out', { timeout: 120_000 }, async (t) => {
  const world = await FaultWorld.start(t, { env: { GITGATE_CONNECTIONS_PER_ADDRESS: '100000' } })
  const { pid = 0 } = world.gate.child
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${LIMIT}:${LIMIT}`])
  const before = world.usage()
  const load = world.startLoad()
  const sockets: Socket[] = []
  for (let i = 0; i < 4 * LIMIT; i++)
    sockets.push(connect(Number(new URL(world.gate.url).port), '127.0.0.1').on('error', () => undefined))
  await world.attempts(ATTEMPTS)
  for (const socket of sockets) socket.destroy()
  await world.attempts(ATTEMPTS)
  await load.stop()
  await world.check(t, 'descriptors ran out')
  await world.checkUsage(t, before, 'descriptors ran out')
})
