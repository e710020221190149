// A process that the git spawn helper starts, over real sockets, behaves like one that the gate starts directly.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import type { StartGit } from '../../../src/git/embedded/git-process.js'
import { readOutput, runGit, signalGroup, startDirectly } from '../../../src/git/embedded/git-process.js'
import { GitSpawnHelper } from '../../../src/git/embedded/spawn-helper.js'
import { commandOf } from '../../acceptance/transfers.js'
import { until, within } from '../../acceptance/until.js'
import { temporaryFolder } from '../../acceptance/temporary-folder.js'

// Variables that the test runner adds to every process that a test starts.
const RUNNER = /^(NODE_|_?TAP)/

const MEBIBYTE = 1_048_576
const env = { PATH: process.env['PATH'] ?? '' }

/** A helper whose sockets are in a temporary folder of the test. */
async function openHelper(t: Test): Promise<{ helper: GitSpawnHelper; sockets: string; losses: Error[] }> {
  const folder = temporaryFolder(t)
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  const losses: Error[] = []
  const helper = await GitSpawnHelper.open({ onLost: (error) => losses.push(error) })
  if (before === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = before
  t.teardown(() => helper.close())
  return { helper, sockets: join(folder, readdirSync(folder)[0] ?? ''), losses }
}

async function run(
  start: StartGit,
  script: string,
  input?: Readable,
  signal = new AbortController().signal,
  pieces: Buffer[] = [],
) {
  const output = new Writable({
    write(piece: Buffer, _encoding, done) {
      pieces.push(piece)
      done()
    },
  })
  const args = ['-c', script]
  const end = await runGit({ start, program: '/bin/sh', args, env, input, signal, begin: () => output })
  return { ...end, text: Buffer.concat(pieces).toString() }
}

for (const way of ['by the helper', 'directly'] as const) {
  t.test(`a process started ${way}`, async (t) => {
    const start = way === 'directly' ? startDirectly : (await openHelper(t)).helper.start

    t.test('reads its input to the end, and its output is read to the end', async (t) => {
      const sent = randomBytes(40 * MEBIBYTE)
      const { bytes, failure } = await readOutput(
        async (command) => {
          const git = await start({ ...command, reads: true })
          Readable.from([sent.subarray(0, 7), sent.subarray(7)]).pipe(git.stdin ?? new Writable())
          return { ...git, stdin: undefined }
        },
        { program: '/bin/cat', args: [], env },
        undefined,
        sent.length,
      )
      t.equal(failure, undefined)
      t.ok(bytes.equals(sent))
    })

    t.test('is not read faster than its output is consumed', async (t) => {
      const { stdout, pid } = await start({ program: '/bin/sh', args: ['-c', 'yes'], env, reads: false })
      await once(stdout, 'readable')
      stdout.read(1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      t.ok(stdout.readableLength < MEBIBYTE)
      signalGroup(pid, 'SIGKILL')
      stdout.destroy()
    })

    t.test('keeps all output, the end of standard error, and the exit status, also when 60 run at once', async (t) => {
      const script = (i: number): string =>
        `head -c 300000 /dev/zero | tr '\\0' x; echo ${i}; echo error ${i} >&2; exit ${i}`
      const ends = await Promise.all(Array.from({ length: 60 }, (_, i) => run(start, script(i))))
      t.strictSame(
        ends.map(({ text, stderr, failure, killed }) => [text.length, text.slice(300_000), stderr, failure, killed]),
        ends.map((_, i) => [
          300_000 + `${i}\n`.length,
          `${i}\n`,
          `error ${i}`,
          i === 0 ? undefined : `exit status ${i}`,
          false,
        ]),
      )
    })

    t.test('may exit without reading its input, and its output arrives', async (t) => {
      const input = Readable.from(Array.from({ length: 200 }, () => randomBytes(65_536)))
      const { text, failure } = await run(start, 'head -c 10 >/dev/null; sleep 0.1; echo refused', input)
      t.strictSame([text, failure], ['refused\n', undefined])
      t.ok(await within(1_000, () => input.readableEnded), 'unwanted input is read and dropped')
    })

    t.test('gets exactly the given environment and an empty standard input', async (t) => {
      const { text } = await run(start, 'wc -c; ls -l /proc/self/fd; pwd; env')
      const [count, ...lines] = text.trim().split('\n')
      t.equal(count, '0')
      t.equal(lines.filter((line) => line.includes('-> socket:')).length, 2, 'no sockets but its output and errors')
      const variables = lines.filter((line) => /^[A-Z_]+=/.test(line)).map((line) => line.split('=')[0] ?? '')
      t.strictSame(
        variables.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name) && !RUNNER.test(name)),
        ['PATH'],
      )
      t.ok(lines.includes('/'))
    })

    t.test('fails if the program does not exist', async (t) => {
      const end = await readOutput(start, { program: '/nowhere/git', args: [], env })
      t.match(end.failure, /ENOENT/)
    })

    t.test('is stopped by ending its input first, and is then killed with all that it started', async (t) => {
      const leaving = new AbortController()
      const polite = run(start, 'cat; echo ended >&2', new Readable({ read: () => undefined }), leaving.signal)
      const output: Buffer[] = []
      const deaf = run(start, "trap '' TERM; echo deaf; sleep 1000 & sleep 1000", undefined, leaving.signal, output)
      await until(() => output.length > 0)
      const startedAt = performance.now()
      leaving.abort()
      t.match(await polite, { failure: undefined, stderr: 'ended' })
      t.match(await deaf, { failure: 'ended by SIGKILL', killed: true })
      t.ok(performance.now() - startedAt < 8_000)
    })
  })
}

t.test('signals to all processes of a service don’t end the helper', async (t) => {
  const { helper, losses } = await openHelper(t)
  await run(helper.start, 'true')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(helper.pid ?? 0, signal)
  const { pid } = helper
  t.equal((await run(helper.start, 'echo here')).text, 'here\n')
  t.equal(helper.pid, pid)
  t.strictSame(losses, [])
})

t.test(
  'when the helper is killed, its git processes are killed and reported so, and another helper starts',
  async (t) => {
    const { helper, losses } = await openHelper(t)
    const first = helper.pid
    const started: { pid: number | undefined }[] = []
    const start: StartGit = async (command) => {
      const git = await helper.start(command)
      started.push(git)
      return git
    }
    const running = run(start, 'sleep 1000')
    t.ok(await within(2_000, () => started.length === 1))
    process.kill(first ?? 0, 'SIGKILL')
    t.match(await running, { killed: true, failure: 'the git spawn helper exited' })
    t.equal(commandOf(started[0]?.pid ?? 0), '', 'git is gone')
    t.equal(losses.length, 1)
    t.equal((await run(helper.start, 'echo again')).text, 'again\n')
    // Not immediately: a machine without memory would do nothing else.
    while (helper.pid === undefined) await run(helper.start, 'sleep 0.1')
    t.not(helper.pid, first)
  },
)

// Fault: the helper was killed between starting git and reporting it. That git waited for ever for its input.
t.test('when the helper is killed while it starts git, no git is left', async (t) => {
  const { helper } = await openHelper(t)
  const mark = `gitgate-orphan-${process.pid}`
  const isRunning = (): boolean =>
    readdirSync('/proc').some((name) => /^\d+$/.test(name) && commandOf(Number(name)).includes(mark))
  for (let round = 0; round < 5; round += 1) {
    const inputs = Array.from({ length: 10 }, () => new PassThrough())
    const runs = inputs.map((input) => run(helper.start, `: ${mark}; cat`, input))
    await until(isRunning)
    process.kill(helper.pid ?? 0, 'SIGKILL')
    // The processes that weren't reported are started again, without the helper.
    for (const input of inputs) input.end()
    await Promise.all(runs)
    t.ok(await within(1_000, () => !isRunning()), 'no orphan waits for its input')
    while (helper.pid === undefined) await run(helper.start, 'sleep 0.1')
  }
})

// Fault: without a free descriptor the gate couldn't accept the connections of the git that the helper had started, and the request
// waited for them for ever.
t.test('without a free descriptor git fails, and it starts again when there is one', async (t) => {
  const { helper } = await openHelper(t)
  t.equal((await run(helper.start, 'echo before')).text, 'before\n')
  const limit = (soft: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`])
  const before = /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? ''
  limit(String(readdirSync('/proc/self/fd').length + 50))
  t.teardown(() => limit(before))
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch (error) {
    t.match(error, { code: 'EMFILE' })
  }
  const ends = await Promise.all(Array.from({ length: 3 }, () => run(helper.start, 'echo out')))
  for (const descriptor of taken) closeSync(descriptor)
  t.ok(
    ends.every(({ text, failure }) => text === 'out\n' || failure !== undefined),
    'each has ended',
  )
  t.equal((await run(helper.start, 'echo after')).text, 'after\n')
})

// Attack: another user of the machine connects to the socket, to read git's output or to pose as git.
t.test('only connections with a known key are accepted', async (t) => {
  const { helper, sockets } = await openHelper(t)
  t.equal(statSync(sockets).mode & 0o777, 0o700)
  await run(helper.start, 'true')
  const stranger = connect(join(sockets, 'git'))
  stranger.on('error', () => undefined)
  stranger.write(randomBytes(16))
  await once(stranger.resume(), 'close')
  t.pass('a connection with an unknown key is closed')
  t.equal((await run(helper.start, 'echo well')).text, 'well\n')
  const own = readFileSync(`/proc/${helper.pid ?? 0}/environ`, 'utf8')
  t.strictSame(
    own.split('\0').filter((line) => line !== '' && !RUNNER.test(line)),
    [],
    'the helper has no environment, hence no secret',
  )
})

t.test('closing leaves neither a folder nor a process', async (t) => {
  const { helper, sockets } = await openHelper(t)
  await run(helper.start, 'true')
  const { pid } = helper
  helper.close()
  t.notOk(existsSync(sockets))
  t.ok(await within(1_000, () => !existsSync(`/proc/${pid ?? 0}`)))
})
