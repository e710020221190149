// Half a gibibyte up and down, and how much memory the gate takes for it. Nothing else may run beside it: it measures.
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, createReadStream, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { requireProgram } from '../acceptance/programs.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

const MEBIBYTE = 1_048_576
const SIZE = 500

for (const kind of [embedded, nginx]) {
  t.test(
    `a push of ${SIZE} MiB and a clone of it: ${kind.name}`,
    { skip: requireProgram(...kind.programs) },
    async (t) => {
      t.setTimeout(240_000)
      const folder = temporaryFolder(t)
      const backend = await kind.start?.(t, folder)
      await backend?.createRepository('alice/large', 'sha1')
      const cli = new GitgateCli(folder, backend === undefined ? {} : { GITGATE_UPSTREAM: backend.url })
      await cli.ask(['user', 'add', 'alice'])
      await cli.ask(['access', 'grant', 'alice', 'write', 'alice/*'])
      const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'write_repository'])
      const gate = await cli.serveProcess(t)
      const git = new GitClient(folder, 'client')
      const remote = `${gate.url.replace('//', `//alice:${token}@`)}/alice/large.git`

      const local = await git.init('local')
      // Random bytes don't compress, so that what goes over the wire is as large as the file.
      for (const setting of ['core.compression=0', 'core.bigFileThreshold=1m', 'gc.auto=0']) {
        await git.run(['config', ...setting.split('=')], { cwd: local })
      }
      const sum = writeRandomFile(join(local, 'large.bin'))
      await git.run(['add', '.'], { cwd: local })
      await git.run(['commit', '-q', '-m', 'Large'], { cwd: local })
      await git.run(['push', remote, 'main'], { cwd: local })
      rmSync(local, { recursive: true })

      const clone = await git.clone(remote, 'clone', '-c', 'core.bigFileThreshold=1m')
      t.equal(await sumOf(join(clone, 'large.bin')), sum)
      const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(gate.child.pid)}/status`, 'utf8'))?.[1]
      t.comment(`peak RSS of the gate: ${Math.round(Number(peak) / 1024)} MiB`)
      t.ok(Number(peak) < 150 * 1024, `peak RSS ${String(peak)} kB`)
    },
  )
}

function writeRandomFile(path: string): string {
  const hash = createHash('sha256')
  const file = openSync(path, 'w')
  for (let written = 0; written < SIZE; written += 10) {
    const block = randomBytes(10 * MEBIBYTE)
    hash.update(block)
    writeSync(file, block)
  }
  closeSync(file)
  return hash.digest('hex')
}

async function sumOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
