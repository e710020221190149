import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BackendKind, Owner } from './backend.js'
import { freePort, shippedConfiguration, startServer } from './backend.js'
import { bareRepositories } from './bare-repositories.js'

/** Apache + git http-backend, configured as `docs/deploy/behind/apache.conf` says. */
export const apache: BackendKind = {
  name: 'Apache + git http-backend',
  programs: ['apache2', 'git-http-backend'],
  cannot: { 'the first pushed branch becomes HEAD': 'git http-backend leaves HEAD as it is' },

  start: async (t, folder) => {
    const root = join(folder, 'backend-repositories')
    mkdirSync(root, { recursive: true })
    const url = await startApache(t, folder, 'behind/apache.conf', { '/srv/git': root })
    return { url, createRepository: bareRepositories(root), adopt: runsAs.adopt }
  },
}

const USER = 'www-data'
const isRoot = process.getuid?.() === 0

/** Apache does not run as root: what it works on must belong to whom it runs as. */
export const runsAs = {
  /** For programs that are to run as the same user. */
  credentials: isRoot ? userIds(USER) : {},
  adopt: (folder: string): void => {
    if (isRoot) execFileSync('chown', ['-R', `${USER}:`, folder])
  },
}

function userIds(name: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, name]).toString())
  return { uid: id('-u'), gid: id('-g') }
}

/** Starts Apache with one of the shipped configurations. @returns its URL */
export async function startApache(
  t: Owner,
  folder: string,
  configuration: string,
  replacements: Readonly<Record<string, string>>,
): Promise<string> {
  const port = await freePort()
  const server = shippedConfiguration(configuration, { '127.0.0.1:9000': `127.0.0.1:${port}`, ...replacements })
  await startApacheWith(t, folder, server, port)
  return `http://127.0.0.1:${port}`
}

const MODULES = [
  'mpm_event',
  'alias',
  'cgid',
  'env',
  'setenvif',
  'authz_core',
  'headers',
  'proxy',
  'proxy_http',
  'socache_shmcb',
  'ssl',
]

/** Starts Apache with a configuration that listens on a port. */
export async function startApacheWith(t: Owner, folder: string, server: string, port: number): Promise<void> {
  const file = join(folder, 'apache.conf')
  const whole = [
    ...(isRoot ? [`User ${USER}`, `Group ${USER}`] : []),
    `ServerRoot ${folder}`,
    'ServerName localhost',
    `PidFile ${folder}/apache.pid`,
    `ScriptSock ${folder}/cgid.sock`,
    `DefaultRuntimeDir ${folder}`,
    `ErrorLog ${folder}/apache.log`,
    ...MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
    server,
  ]
  writeFileSync(file, `${whole.join('\n')}\n`)
  await startServer(t, '/usr/sbin/apache2', ['-f', file, '-D', 'FOREGROUND'], { port })
}
