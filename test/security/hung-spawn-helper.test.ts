// Attack: the git spawn helper is stopped (kill -STOP). Every Git request that the cache can't answer waited for ever.
import t from 'tap'
import type { GitCommand } from '../../src/git/embedded/git-process.js'
import { readOutput } from '../../src/git/embedded/git-process.js'
import { GitSpawnHelper } from '../../src/git/embedded/spawn-helper.js'
import { commandOf } from '../acceptance/transfers.js'

const START_TIMEOUT_MS = 500

function shell(script: string): GitCommand {
  return { program: '/bin/sh', args: ['-c', script], env: { PATH: process.env['PATH'] ?? '' }, reads: false }
}

t.test('a helper that hangs is killed with its git processes, and git starts without it', async (t) => {
  const losses: Error[] = []
  const helper = await GitSpawnHelper.open({ startTimeoutMs: START_TIMEOUT_MS, onLost: (error) => losses.push(error) })
  t.teardown(() => helper.close())
  const running = await helper.start(shell('sleep 1000'))
  const hung = helper.pid ?? 0
  process.kill(hung, 'SIGSTOP')
  t.teardown(() => {
    // Without the fix it would stay.
    if (helper.pid === hung) process.kill(hung, 'SIGKILL')
  })
  const waiting = Array.from({ length: 5 }, () => readOutput(helper.start, shell('echo started')))
  for (const { bytes, failure } of await Promise.all(waiting)) {
    t.equal(bytes.toString(), 'started\n')
    t.equal(failure, undefined)
  }
  t.equal(losses.length, 1)
  t.match(await running.ended, { killed: true, failure: 'the git spawn helper exited' })
  t.equal(commandOf(running.pid ?? 0), '', 'its git process is gone')
  t.not(helper.pid, hung)
})

t.test('a helper that is stopped for less stays', async (t) => {
  const losses: Error[] = []
  const helper = await GitSpawnHelper.open({ startTimeoutMs: 60_000, onLost: (error) => losses.push(error) })
  t.teardown(() => helper.close())
  const { pid } = helper
  process.kill(pid ?? 0, 'SIGSTOP')
  const starting = helper.start(shell('true'))
  process.kill(pid ?? 0, 'SIGCONT')
  t.match(await (await starting).ended, { failure: undefined })
  t.equal(helper.pid, pid)
  t.strictSame(losses, [])
})
