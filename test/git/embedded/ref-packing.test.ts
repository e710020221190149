// Refs are packed in quiet moments after pushes, and no push fails because of it.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import t from 'tap'
import { until } from '../../acceptance/until.js'
import { askGit, gitEnvironment, serviceArguments } from '../../../src/git/embedded/git-program.js'
import { MAX_LOOSE_REFS, RefPacking } from '../../../src/git/embedded/ref-packing.js'
import { APP, createBareRepository } from './bare-repository.js'

const QUIET_MS = 2_000
const INTERVAL_MS = 60_000

/** Time that the test lets pass. */
class Time {
  #waits: { readonly milliseconds: number; readonly end: () => void }[] = []

  readonly wait = (milliseconds: number): Promise<void> =>
    new Promise((end) => void this.#waits.push({ milliseconds, end }))

  /** The running timers, in milliseconds. */
  get waits(): number[] {
    return this.#waits.map(({ milliseconds }) => milliseconds)
  }

  /** Ends all timers, and lets their followers run. */
  async pass(): Promise<void> {
    for (const { end } of this.#waits.splice(0)) end()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const isPacked = (where: string): boolean => existsSync(join(where, 'packed-refs'))

/** Writes loose refs; with `main` there is one more. */
function writeRefs(where: string, id: string, count: number): void {
  mkdirSync(join(where, 'refs/many'), { recursive: true })
  for (let index = 0; index < count; index++) writeFileSync(join(where, 'refs/many', String(index)), `${id}\n`)
}

async function createPacking(t: Test) {
  const repository = await createBareRepository(t)
  const time = new Time()
  const packing = new RefPacking(repository.git, { quietMs: QUIET_MS, intervalMs: INTERVAL_MS, wait: time.wait })
  /** Waits until git has packed the refs, or failed to. */
  const packed = () => until(() => time.waits.includes(INTERVAL_MS))
  return { ...repository, time, packing, packed }
}

t.test('many loose refs are packed in a quiet moment after a push', async (t) => {
  const { where, run, one, time, packing, packed } = await createPacking(t)
  const ended = packing.pushBegins(where)
  writeRefs(where, one, MAX_LOOSE_REFS)
  const refs = run('for-each-ref')
  t.strictSame(time.waits, [])
  ended()
  t.strictSame(time.waits, [QUIET_MS], 'not immediately')
  t.notOk(isPacked(where))
  await time.pass()
  await packed()
  t.ok(isPacked(where))
  t.notOk(existsSync(join(where, 'refs/heads/main')))
  t.equal(run('for-each-ref'), refs)
  t.equal(run('rev-parse', 'main').trim(), one)
})

t.test('a few loose refs stay as they are', async (t) => {
  const { where, one, time, packing } = await createPacking(t)
  const ended = packing.pushBegins(where)
  writeRefs(where, one, MAX_LOOSE_REFS - 1)
  ended()
  await time.pass()
  t.strictSame(time.waits, [])
  t.notOk(isPacked(where))
})

t.test('not while a push runs, nor right after it', async (t) => {
  const { where, one, time, packing, packed } = await createPacking(t)
  writeRefs(where, one, MAX_LOOSE_REFS)
  const [endFirst, endSecond] = [packing.pushBegins(where), packing.pushBegins(where)]
  endFirst()
  await time.pass()
  t.strictSame(time.waits, [], 'the second push still runs')
  endSecond()
  const endThird = packing.pushBegins(where)
  await time.pass()
  t.strictSame(time.waits, [], 'a third push has begun')
  endThird()
  t.strictSame(time.waits, [QUIET_MS])
  t.notOk(isPacked(where))
  await time.pass()
  await packed()
  t.ok(isPacked(where))
})

t.test('refs that are pushed during the interval are packed at its end', async (t) => {
  const { where, one, time, packing, packed } = await createPacking(t)
  writeRefs(where, one, MAX_LOOSE_REFS)
  packing.pushBegins(where)()
  await time.pass()
  await packed()
  rmSync(join(where, 'packed-refs'))
  writeRefs(where, one, MAX_LOOSE_REFS + 1)
  packing.pushBegins(where)()
  t.strictSame(time.waits, [INTERVAL_MS, QUIET_MS])
  await time.pass()
  await packed()
  t.ok(isPacked(where))
  await time.pass()
  t.strictSame(time.waits, [], 'without a push since, it is not packed again')
})

t.test('no hook of the repository runs', async (t) => {
  const { where, one, time, packing, packed } = await createPacking(t)
  writeRefs(where, one, MAX_LOOSE_REFS)
  const trace = join(where, 'trace')
  mkdirSync(join(where, 'hooks'))
  writeFileSync(join(where, 'hooks/reference-transaction'), `#!/bin/sh\ntouch '${trace}'\n`, { mode: 0o755 })
  packing.pushBegins(where)()
  await time.pass()
  await packed()
  t.ok(isPacked(where))
  t.notOk(existsSync(trace))
})

t.test('a repository that is gone or locked is left alone', async (t) => {
  const { folder, where, one, run, time, packing, packed } = await createPacking(t)
  writeRefs(where, one, MAX_LOOSE_REFS)
  const refs = run('for-each-ref')
  writeFileSync(join(where, 'packed-refs.lock'), '')
  packing.pushBegins(where)()
  packing.pushBegins(join(folder.root, 'gone.git'))()
  await time.pass()
  await packed()
  t.notOk(isPacked(where))
  t.equal(run('for-each-ref'), refs)
})

t.test('pushes of four clients all succeed while refs are packed without a pause', async (t) => {
  const { git, where, one, two, run } = await createBareRepository(t)
  const push = promisify(execFile)
  const done = new AbortController()
  // As the gate starts it, with its timeouts for locks.
  const receivePack = receivePackCommand(where)
  let packs = 0
  const packing = (async () => {
    for (; !done.signal.aborted; packs++) await askGit(git, ['--git-dir', where, 'pack-refs', '--all'])
  })()
  const side = async (name: string): Promise<void> => {
    for (let index = 0; index < 12; index++) {
      const id = index % 2 === 0 ? two : one
      const refs = [`+${id}:refs/heads/${name}/same`, `${id}:refs/heads/${name}/${index}`]
      const gone = index > 1 ? [`:refs/heads/${name}/${index - 2}`] : []
      const args = ['--git-dir', where, 'push', `--receive-pack=${receivePack}`, '--atomic', where, ...refs, ...gone]
      await push(git.path, args, { env: gitEnvironment() })
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(side))
  done.abort()
  await packing
  t.ok(packs > 3, `packed ${packs} times`)
  const names = run('for-each-ref', '--format=%(objectname) %(refname)').trim().split('\n')
  const expected = ['a', 'b', 'c', 'd'].flatMap((name) => [
    `${two} refs/heads/${name}/10`,
    `${one} refs/heads/${name}/11`,
    `${one} refs/heads/${name}/same`,
  ])
  t.strictSame(names, [...expected, `${one} refs/heads/main`])
  t.strictSame(
    readdirSync(join(where, 'refs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.lock')),
    [],
  )
})

/** The command line of receive-pack with the embedded server's settings, for `git push` to start. */
function receivePackCommand(where: string): string {
  const request = { repository: APP, service: 'git-receive-pack', phase: 'rpc' } as const
  const args = serviceArguments(request, where, null)
  return ['git', ...args.slice(0, args.indexOf('receive-pack')), 'receive-pack'].map((word) => `'${word}'`).join(' ')
}
