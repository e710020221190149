// Refs are packed in quiet moments, and no push is the worse for it.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { askGit, gitEnvironment } from '../../src/embedded-git/git-program.js'
import { RefPacking } from '../../src/embedded-git/ref-packing.js'
import { serviceArguments } from '../../src/embedded-git/service-arguments.js'
import { APP, createBareRepository } from './bare-repository.js'

const TIMES = { quiet: 60, rest: 300 }
const MANY = 301

/** Waits for what comes soon, and longer only on a machine that has much to do. */
async function until(isTrue: () => boolean): Promise<boolean> {
  for (let look = 0; look < 500 && !isTrue(); look++) await pause(20)
  return isTrue()
}

const isPacked = (where: string): boolean => existsSync(join(where, 'packed-refs'))

t.test('many loose refs are packed after a quiet moment; a few stay as they are', async (t) => {
  const { git, where, run, one } = await createBareRepository(t)
  const packing = new RefPacking(git, TIMES)
  const refs = run('for-each-ref')
  packing.seen(where, MANY - 1)
  await pause(250)
  t.notOk(isPacked(where))
  packing.seen(where, MANY)
  t.notOk(isPacked(where), 'not at once')
  t.ok(await until(() => isPacked(where) && !existsSync(join(where, 'packed-refs.lock'))))
  t.ok(await until(() => !existsSync(join(where, 'refs/heads/main'))))
  t.equal(run('for-each-ref'), refs)
  t.equal(run('rev-parse', 'main').trim(), one)
})

t.test('not while a push runs, nor right after it', async (t) => {
  const { git, where } = await createBareRepository(t)
  const packing = new RefPacking(git, { ...TIMES, quiet: 150 })
  const ended = packing.pushBegins(where)
  const other = packing.pushBegins(where)
  packing.seen(where, MANY)
  await pause(400)
  ended()
  await pause(400)
  t.notOk(isPacked(where), 'one of two still runs')
  other()
  await pause(50)
  t.notOk(isPacked(where))
  t.ok(await until(() => isPacked(where)))
})

t.test('not again until the repository has rested', async (t) => {
  const { git, where } = await createBareRepository(t)
  const packing = new RefPacking(git, { quiet: 20, rest: 700 })
  packing.seen(where, MANY)
  t.ok(await until(() => isPacked(where)))
  // Until git itself has ended.
  await pause(100)
  rmSync(join(where, 'packed-refs'))
  packing.seen(where, MANY)
  await pause(200)
  t.notOk(isPacked(where))
  const comesAgain = (): boolean => {
    packing.seen(where, MANY)
    return isPacked(where)
  }
  t.ok(await until(comesAgain))
})

t.test('no hook of the repository hears of it', async (t) => {
  const { git, where } = await createBareRepository(t)
  const heard = join(where, 'heard')
  mkdirSync(join(where, 'hooks'))
  writeFileSync(join(where, 'hooks/reference-transaction'), `#!/bin/sh\ntouch '${heard}'\n`, { mode: 0o755 })
  new RefPacking(git, TIMES).seen(where, MANY)
  t.ok(await until(() => isPacked(where)))
  await pause(100)
  t.notOk(existsSync(heard))
})

t.test('a repository that is gone or locked is left alone', async (t) => {
  const { git, folder, where, run } = await createBareRepository(t)
  const packing = new RefPacking(git, TIMES)
  const refs = run('for-each-ref')
  writeFileSync(join(where, 'packed-refs.lock'), '')
  packing.seen(where, MANY)
  packing.seen(join(folder.root, 'gone.git'), MANY)
  await pause(1_500)
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
  const request = { repository: APP, service: 'git-receive-pack', phase: 'exchange' } as const
  const args = serviceArguments(request, where, null, false)
  return ['git', ...args.slice(0, args.indexOf('receive-pack')), 'receive-pack'].map((word) => `'${word}'`).join(' ')
}
