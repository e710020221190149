// Refs are packed in quiet moments, and no push is the worse for it.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import t from 'tap'
import { until } from '../../acceptance/until.js'
import { askGit, gitEnvironment } from '../../../src/git/embedded/git-program.js'
import { RefPacking } from '../../../src/git/embedded/ref-packing.js'
import { serviceArguments } from '../../../src/git/embedded/service-arguments.js'
import { APP, createBareRepository } from './bare-repository.js'

const QUIET_MS = 2_000
const REST_MS = 60_000
const MANY = 301

/** Time that a test lets pass. */
class Time {
  #waits: { readonly milliseconds: number; readonly end: () => void }[] = []

  readonly wait = (milliseconds: number): Promise<void> =>
    new Promise((end) => void this.#waits.push({ milliseconds, end }))

  /** What is waited for, in milliseconds. */
  get waits(): number[] {
    return this.#waits.map(({ milliseconds }) => milliseconds)
  }

  /** Ends all that is waited for, and lets what follows begin. */
  async pass(): Promise<void> {
    for (const { end } of this.#waits.splice(0)) end()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const isPacked = (where: string): boolean => existsSync(join(where, 'packed-refs'))

async function packingOf(t: Test) {
  const repository = await createBareRepository(t)
  const time = new Time()
  const packing = new RefPacking(repository.git, { quiet: QUIET_MS, rest: REST_MS, wait: time.wait })
  /** Waits until git has ended, after which the repository rests. */
  const rests = () => until(() => time.waits.includes(REST_MS))
  return { ...repository, time, packing, rests }
}

t.test('many loose refs are packed after a quiet moment; a few stay as they are', async (t) => {
  const { where, run, one, time, packing, rests } = await packingOf(t)
  const refs = run('for-each-ref')
  packing.seen(where, MANY - 1)
  t.strictSame(time.waits, [])
  packing.seen(where, MANY)
  t.strictSame(time.waits, [QUIET_MS], 'not at once')
  t.notOk(isPacked(where))
  await time.pass()
  await rests()
  t.ok(isPacked(where))
  t.notOk(existsSync(join(where, 'refs/heads/main')))
  t.equal(run('for-each-ref'), refs)
  t.equal(run('rev-parse', 'main').trim(), one)
})

t.test('not while a push runs, nor right after it', async (t) => {
  const { where, time, packing, rests } = await packingOf(t)
  const ended = packing.pushBegins(where)
  const other = packing.pushBegins(where)
  packing.seen(where, MANY)
  await time.pass()
  t.strictSame(time.waits, [QUIET_MS], 'once more')
  ended()
  await time.pass()
  t.strictSame(time.waits, [QUIET_MS], 'one of two still runs')
  await time.pass()
  t.strictSame(time.waits, [QUIET_MS])
  other()
  t.strictSame(time.waits, [QUIET_MS, QUIET_MS], 'right after the last')
  t.notOk(isPacked(where))
  await time.pass()
  await time.pass()
  await rests()
  t.ok(isPacked(where))
})

t.test('not again until the repository has rested', async (t) => {
  const { where, time, packing, rests } = await packingOf(t)
  packing.seen(where, MANY)
  await time.pass()
  await rests()
  rmSync(join(where, 'packed-refs'))
  packing.seen(where, MANY)
  t.strictSame(time.waits, [REST_MS])
  await time.pass()
  packing.seen(where, MANY)
  t.strictSame(time.waits, [QUIET_MS])
  await time.pass()
  await rests()
  t.ok(isPacked(where))
})

t.test('no hook of the repository hears of it', async (t) => {
  const { where, time, packing, rests } = await packingOf(t)
  const heard = join(where, 'heard')
  mkdirSync(join(where, 'hooks'))
  writeFileSync(join(where, 'hooks/reference-transaction'), `#!/bin/sh\ntouch '${heard}'\n`, { mode: 0o755 })
  packing.seen(where, MANY)
  await time.pass()
  await rests()
  t.ok(isPacked(where))
  t.notOk(existsSync(heard))
})

t.test('a repository that is gone or locked is left alone', async (t) => {
  const { folder, where, run, time, packing } = await packingOf(t)
  const refs = run('for-each-ref')
  writeFileSync(join(where, 'packed-refs.lock'), '')
  packing.seen(where, MANY)
  packing.seen(join(folder.root, 'gone.git'), MANY)
  await time.pass()
  await until(() => time.waits.length === 2)
  t.strictSame(time.waits, [REST_MS, REST_MS], 'git has ended for both')
  t.notOk(isPacked(where))
  t.equal(run('for-each-ref'), refs)
})

t.test('pushes from four sides succeed, each of them, while refs are packed without a pause', async (t) => {
  const { git, where, one, two, run } = await createBareRepository(t)
  const push = promisify(execFile)
  const over = new AbortController()
  // As the gate starts it, with its patience for locks.
  const receivePack = receivePackCommand(where)
  let packs = 0
  const packing = (async () => {
    for (; !over.signal.aborted; packs++) await askGit(git, ['--git-dir', where, 'pack-refs', '--all'])
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
  over.abort()
  await packing
  t.ok(packs > 3, `${packs} times packed`)
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

/** Git's receive-pack with the settings that the embedded server gives it, for `git push` to start. */
function receivePackCommand(where: string): string {
  const request = { repository: APP, service: 'git-receive-pack', phase: 'rpc' } as const
  const args = serviceArguments(request, where, null)
  return ['git', ...args.slice(0, args.indexOf('receive-pack')), 'receive-pack'].map((word) => `'${word}'`).join(' ')
}
