// The cache for operators: inspect it, clear it, turn it off.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from './git-client.js'
import type { GateProcess } from './gitgate-cli.js'
import { GitgateCli } from './gitgate-cli.js'
import { cacheFiles, cloneComplete } from './cache-world.js'
import { largeCommit } from './transfers.js'
import { within } from './until.js'
import { temporaryFolder } from './temporary-folder.js'

type Report = Readonly<Record<string, number>> & { readonly pid: number; readonly at: string }

async function served(folder: string) {
  const cli = new GitgateCli(folder)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const git = new GitClient(cli.folder, 'client')
  const work = await largeCommit(git, 'large', 3)
  await git.run(['push', '-q', join(cli.folder, 'repos', 'alice', 'app.git'), 'main'], { cwd: work.folder })
  const clone = async (gate: GateProcess) =>
    await cloneComplete(git, `${gate.url.replace('//', `//alice:${secret}@`)}/alice/app.git`, '-q', '--bare')
  const stats = async () => (await cli.json('cache', 'stats')) as Report[]
  /** Waits until the gates report something. */
  const reported = async (holds: (reports: Report[]) => boolean): Promise<Report[]> => {
    let reports: Report[] = []
    await within(3_000, async () => holds((reports = await stats())))
    return reports
  }
  return { cli, clone, stats, reported, data: join(cli.folder, 'data') }
}

t.test('stats shows what each gate caches, and clear empties all caches', async (t) => {
  const { cli, clone, stats, reported, data } = await served(temporaryFolder(t))
  t.strictSame(await stats(), [])
  t.match(await cli.run(['cache', 'stats']), { status: 0, stderr: /No gate with a cache runs/ })
  t.strictSame(await cli.json('cache', 'clear'), { gates: 0 })

  const gates = [await cli.serveProcess(t), await cli.serveProcess(t)] as const
  for (const gate of gates) for (let time = 0; time < 3; time += 1) await clone(gate)
  const reports = await reported((all) => all.length === 2 && all.every(({ hit }) => (hit ?? 0) >= 6))
  t.strictSame(reports.map(({ pid }) => pid).sort(), gates.map(({ child }) => child.pid).sort())
  for (const report of reports) {
    t.match(report, { entries: 3, miss: 3, hit: 6, coalesced: 0, bypass: 0, evicted: 0, writeFailures: 0 })
    t.ok(report['bytes']! > 3 * 1_048_576 && report['bytes']! < report['quota']!)
  }
  t.match(
    await cli.ask(['cache', 'stats']),
    new RegExp(`^INSTANCE +PID.*\\n(.*\\n)?[0-9a-f]{16} +${gates[0].child.pid} `, 'm'),
  )

  t.strictSame(await cli.json('cache', 'clear'), { gates: 2 })
  for (const { child } of gates) t.ok(await within(1_500, () => cacheFiles(data, child.pid).length === 0))
  t.match(await reported((all) => all.every(({ entries }) => entries === 0)), [{ entries: 0 }, { entries: 0 }])
  for (const gate of gates) await clone(gate)
  t.match(await reported((all) => all.every(({ miss }) => miss === 6)), [{ miss: 6 }, { miss: 6 }])
  await gates[0].stop()
  t.equal((await stats()).length, 1)
})

t.test('serve --no-cache and GITGATE_CACHE=off turn the cache off', async (t) => {
  const { cli, clone, stats, data } = await served(temporaryFolder(t))
  const without = await cli.serveProcess(t, ['serve', '--port', '0', '--no-cache'])
  for (let time = 0; time < 2; time += 1) await clone(without)
  t.notMatch(without.said.stderr + without.said.stdout, /"cache":/)
  t.strictSame(await stats(), [])
  t.notOk(existsSync(join(data, 'cache')))
  await without.stop()

  const off = new GitgateCli(cli.folder, { GITGATE_CACHE: 'off' })
  const other = await off.serveProcess(t)
  await clone(other)
  t.notOk(existsSync(join(data, 'cache')))
  await other.stop()

  const cached = await cli.serveProcess(t)
  for (let time = 0; time < 2; time += 1) await clone(cached)
  t.match(cached.said.stderr + cached.said.stdout, /"cache":"hit"/)
})
