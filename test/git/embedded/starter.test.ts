// Programs that are started by way of another process, with real sockets: what holds of a git that the gate itself starts holds of them.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import type { StartGit } from '../../../src/git/embedded/git-process.js'
import { readOutput } from '../../../src/git/embedded/git-output.js'
import { runGit } from '../../../src/git/embedded/process.js'
import { signalGroup } from '../../../src/git/embedded/process-group.js'
import { startHere } from '../../../src/git/embedded/start-here.js'
import { Starter } from '../../../src/git/embedded/starter.js'
import { commandOf } from '../../acceptance/transfers.js'
import { until, within } from '../../acceptance/until.js'
import { temporaryFolder } from '../../acceptance/temporary-folder.js'

// What the runner of the tests gives to every process that a test starts.
const RUNNER = /^(NODE_|_?TAP)/

const MEBIBYTE = 1_048_576
const env = { PATH: process.env['PATH'] ?? '' }

/** A starter whose sockets are in a folder of the test's own. */
async function opened(t: Test): Promise<{ starter: Starter; sockets: string; losses: Error[] }> {
  const folder = temporaryFolder(t)
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  const losses: Error[] = []
  const starter = await Starter.open((error) => losses.push(error))
  if (before === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = before
  t.teardown(() => starter.close())
  return { starter, sockets: join(folder, readdirSync(folder)[0] ?? ''), losses }
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

for (const way of ['by the process that starts git', 'from here'] as const) {
  t.test(`what is started ${way}`, async (t) => {
    const start = way === 'from here' ? startHere : (await opened(t)).starter.start

    t.test('reads all that it is sent to its end, and is read to its end', async (t) => {
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

    t.test('is not read faster than its output is taken', async (t) => {
      const { stdout, pid } = await start({ program: '/bin/sh', args: ['-c', 'yes'], env, reads: false })
      await once(stdout, 'readable')
      stdout.read(1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      t.ok(stdout.readableLength < MEBIBYTE)
      signalGroup(pid, 'SIGKILL')
      stdout.destroy()
    })

    t.test('ends with all of its output, the end of its errors, and its status, however many there are', async (t) => {
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

    t.test('may end without reading, and is heard', async (t) => {
      const input = Readable.from(Array.from({ length: 200 }, () => randomBytes(65_536)))
      const { text, failure } = await run(start, 'head -c 10 >/dev/null; sleep 0.1; echo refused', input)
      t.strictSame([text, failure], ['refused\n', undefined])
      t.ok(await within(1_000, () => input.readableEnded), 'what it did not want is read and dropped')
    })

    t.test('gets the environment that was meant, and nothing to read', async (t) => {
      const { text } = await run(start, 'wc -c; ls -l /proc/self/fd; pwd; env')
      const [count, ...lines] = text.trim().split('\n')
      t.equal(count, '0')
      t.equal(
        lines.filter((line) => line.includes('-> socket:')).length,
        2,
        'no socket beside its output and its errors',
      )
      const variables = lines.filter((line) => /^[A-Z_]+=/.test(line)).map((line) => line.split('=')[0] ?? '')
      t.strictSame(
        variables.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name) && !RUNNER.test(name)),
        ['PATH'],
      )
      t.ok(lines.includes('/'))
    })

    t.test('that is not there fails', async (t) => {
      const end = await readOutput(start, { program: '/nowhere/git', args: [], env })
      t.match(end.failure, /ENOENT/)
    })

    t.test('has its input ended first when it is to end, and is killed with all that it started', async (t) => {
      const leaving = new AbortController()
      const polite = run(start, 'cat; echo ended >&2', new Readable({ read: () => undefined }), leaving.signal)
      const output: Buffer[] = []
      const deaf = run(start, "trap '' TERM; echo deaf; sleep 1000 & sleep 1000", undefined, leaving.signal, output)
      await until(() => output.length > 0)
      const asked = performance.now()
      leaving.abort()
      t.match(await polite, { failure: undefined, stderr: 'ended' })
      t.match(await deaf, { failure: 'ended by SIGKILL', killed: true })
      t.ok(performance.now() - asked < 8_000)
    })
  })
}

t.test('signals to all of a service don’t end what starts git', async (t) => {
  const { starter, losses } = await opened(t)
  await run(starter.start, 'true')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(starter.pid ?? 0, signal)
  const { pid } = starter
  t.equal((await run(starter.start, 'echo here')).text, 'here\n')
  t.equal(starter.pid, pid)
  t.strictSame(losses, [])
})

t.test(
  'when what starts git is killed, what it has started ends and is known as killed; the next one is started',
  async (t) => {
    const { starter, losses } = await opened(t)
    const first = starter.pid
    const started: { pid: number | undefined }[] = []
    const start: StartGit = async (command) => {
      const git = await starter.start(command)
      started.push(git)
      return git
    }
    const running = run(start, 'sleep 1000')
    t.ok(await within(2_000, () => started.length === 1))
    process.kill(first ?? 0, 'SIGKILL')
    t.match(await running, { killed: true, failure: 'what starts git has ended' })
    t.equal(commandOf(started[0]?.pid ?? 0), '', 'nothing of it is at work')
    t.equal(losses.length, 1)
    t.equal((await run(starter.start, 'echo again')).text, 'again\n')
    // Not at once, lest a machine without memory did nothing else.
    while (starter.pid === undefined) await run(starter.start, 'sleep 0.1')
    t.not(starter.pid, first)
  },
)

// Attack: another user of the machine connects to get what git says to somebody, or to be taken for git.
t.test('nobody else gets to the sockets', async (t) => {
  const { starter, sockets } = await opened(t)
  t.equal(statSync(sockets).mode & 0o777, 0o700)
  await run(starter.start, 'true')
  const stranger = connect(join(sockets, 'git'))
  stranger.on('error', () => undefined)
  stranger.write(randomBytes(16))
  await once(stranger.resume(), 'close')
  t.pass('who does not know the word is shown the door')
  t.equal((await run(starter.start, 'echo well')).text, 'well\n')
  const own = readFileSync(`/proc/${starter.pid ?? 0}/environ`, 'utf8')
  t.strictSame(
    own.split('\0').filter((line) => line !== '' && !RUNNER.test(line)),
    [],
    'it knows no secret of ours',
  )
})

t.test('its end leaves no folder', async (t) => {
  const { starter, sockets } = await opened(t)
  await run(starter.start, 'true')
  const { pid } = starter
  starter.close()
  t.notOk(existsSync(sockets))
  t.ok(await within(1_000, () => !existsSync(`/proc/${pid ?? 0}`)))
})
