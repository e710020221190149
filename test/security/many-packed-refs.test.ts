// Attack: who may push creates hundreds of thousands of refs. After each further push, the first fetch read them all in one go: 250,000
// blocked all requests for half a second, a million for 3.6 s, and the memory that they took was kept.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readRefFiles } from '../../src/git/embedded/repository-refs.js'
import { GitClient } from '../acceptance/git-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { turnsDuring } from './turns.js'

const packed = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${`${i}`.padStart(40, 'a')} refs/heads/${`${i}`.padStart(20, '0')}\n`).join(
    '',
  )

t.test('other requests come between the refs of a large repository', async (t) => {
  const folder = temporaryFolder(t)
  await new GitClient(folder, 'git').run(['init', '-q', '--bare', 'app.git'])
  const repository = join(folder, 'git', 'app.git')
  writeFileSync(join(repository, 'packed-refs'), packed(150_000))
  const { result, turns } = await turnsDuring(() => readRefFiles(repository))
  t.equal(result?.ids.size, 150_000)
  t.ok(turns > 10, `${turns} turns`)
  writeFileSync(join(repository, 'packed-refs'), packed(300_000))
  t.equal(await readRefFiles(repository), undefined, 'and more than 16 MiB are left to git')
})
