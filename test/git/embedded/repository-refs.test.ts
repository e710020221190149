// The refs that gitgate reads from files are those that git lists; otherwise it leaves them to git.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { listRefs, readRefFiles } from '../../../src/git/embedded/repository-refs.js'
import { startDirectly } from '../../../src/git/embedded/git-process.js'
import type { BareRepository } from './bare-repository.js'
import { createBareRepository } from './bare-repository.js'

const listed = async ({ git, where }: BareRepository) => await listRefs({ ...git, start: startDirectly }, where)

for (const format of ['sha1', 'sha256'] as const) {
  t.test(`loose and packed refs and tags are read: ${format}`, async (t) => {
    const repository = await createBareRepository(t, format)
    const { run, where, one, two } = repository
    const steps = [
      ['update-ref', 'refs/heads/feature/a-b.c+d_e', two],
      ['tag', '-a', '-m', 'first', 'v1.0', one],
      ['pack-refs', '--all'],
      ['update-ref', 'refs/heads/main', two],
      ['update-ref', 'refs/heads/main-2', one],
      ['update-ref', 'refs/heads/main0', one],
      ['update-ref', 'refs/heads/mäin', one],
      ['pack-refs', '--all'],
      ['update-ref', '-d', 'refs/heads/main0'],
      ['update-ref', 'refs/notes/x', one],
    ]
    for (const step of steps) {
      run(...step)
      const found = await readRefFiles(where)
      if (step.includes('refs/heads/mäin')) t.equal(found, undefined, 'left to git')
      else t.strictSame([...(found?.ids ?? [])], [...((await listed(repository))?.ids ?? [])], step.join(' '))
    }
    t.strictSame((await readRefFiles(where))?.tips, (await listed(repository))?.tips)
  })
}

t.test('unusual files are left to git', async (t) => {
  const { run, where, one } = await createBareRepository(t)
  const file = (name: string, text: string) => {
    const path = join(where, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
    return () => rmSync(path)
  }
  const unusual: readonly (() => () => void)[] = [
    () => file('refs/heads/main.lock', ''),
    () => file('refs/heads/half', one.slice(0, 20)),
    () => file('refs/heads/empty', ''),
    () => file('refs/heads/zero', `${'0'.repeat(40)}\n`),
    () => file('refs/heads/alias', 'ref: refs/heads/main\n'),
    () => file('refs/heads/a..b', `${one}\n`),
    () => file('refs/heads/.hidden', `${one}\n`),
    () => file('packed-refs', `${one} refs/heads/x\ngarbage\n`),
    () => file('packed-refs', `${'0'.repeat(40)} refs/heads/x\n`),
    () => file('packed-refs', `${one} refs/heads/y\n${one} refs/heads/x\n`),
    () => file('reftable/tables.list', ''),
  ]
  t.ok(await readRefFiles(where))
  for (const make of unusual) {
    const undo = make()
    t.equal(await readRefFiles(where), undefined, make.toString())
    undo()
    t.ok(await readRefFiles(where))
  }
  for (let i = 0; i < 200; i++) run('update-ref', `refs/many/${i}`, one)
  t.equal(await readRefFiles(where), undefined, 'more than 200 loose refs')
  t.equal(await readRefFiles(join(where, 'nowhere')), undefined)
})
