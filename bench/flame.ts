// npm run bench:flame [-- FILE.svg]: where a gate spends its time that answers ls-remote from its cache
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { CONNECTIONS, Load, lsRemoteRequests } from './client/load.js'
import { prepareGate } from './peers/gates.js'
import type { CpuProfile } from './report/flame-graph.js'
import { flameGraph } from './report/flame-graph.js'
import { RepositoryCache } from './repositories/cache.js'
import { small } from './repositories/recipes.js'

const ROOT = resolve(import.meta.dirname, '..', '..')
const [WARM_UP, SECONDS] = [2, 6]
// What the listener of a request has called, and what that has called later.
const START_UP = /^(compile|require|Module|import|load|link|evaluate|ModuleJob|instantiate|finalizeResolution)/

const folder = mkdtempSync(join(tmpdir(), 'gitgate-flame-'))
try {
  const profile = await profileGate()
  const title = `gitgate: ls-remote from the cache, ${CONNECTIONS} connections, Node.js ${process.version}`
  const target = process.argv[2] ?? join(ROOT, 'docs', 'hot-path.svg')
  writeFileSync(
    target,
    flameGraph(profile, title, (path) => !path.some((name) => START_UP.test(name))),
  )
  process.stderr.write(`wrote ${target}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function profileGate(): Promise<CpuProfile> {
  const credentials = await prepareGate(folder)
  const repos = join(folder, 'repos', 'bench')
  mkdirSync(repos, { recursive: true })
  const cache = new RepositoryCache(join(ROOT, 'bench', '.cache'), (line) => process.stderr.write(`${line}\n`))
  await cache.place(small, join(repos, 'small.git'))
  const profiled = ['--cpu-prof', `--cpu-prof-dir=${join(folder, 'profiles')}`, '--cpu-prof-interval=200']
  const serve = ['--data', join(folder, 'data'), 'serve', '--port', '0', '--repos', join(folder, 'repos')]
  const gate = spawn(process.execPath, [...profiled, join(ROOT, 'bin', 'gitgate.js'), ...serve], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(gate, 'exit')
  try {
    const url = await listening(gate.stderr)
    const load = new Load(url, await lsRemoteRequests(url, 'bench/small', credentials))
    for (const seconds of [WARM_UP, SECONDS]) await load.run(seconds)
    load.close()
  } finally {
    gate.kill('SIGTERM')
    await ended
  }
  const files = readdirSync(join(folder, 'profiles')).map((name) => join(folder, 'profiles', name))
  // Beside the main thread's there is one of the thread that writes the audit log.
  const profiles = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as CpuProfile)
  const isMain = ({ nodes }: CpuProfile): boolean =>
    nodes.some(({ callFrame }) => callFrame.url.endsWith('/src/server/server.js'))
  const main = profiles.find(isMain)
  if (main === undefined) throw new Error('the gate has left no profile')
  return main
}

/** The address that a gate logs when it listens. */
async function listening(log: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: log })) {
    const { url } = JSON.parse(line) as { url?: string }
    if (url === undefined) continue
    log.resume()
    return url
  }
  throw new Error('the gate did not start')
}
