import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BackendKind, Owner } from './backend.js'
import { freePort, shippedConfiguration, startServer } from './backend.js'
import { bareRepositories } from './bare-repositories.js'
import { findProgram } from '../acceptance/programs.js'

/** nginx + fcgiwrap + git http-backend, configured as `docs/deploy/behind/nginx.conf` says. */
export const nginx: BackendKind = {
  name: 'nginx + git http-backend',
  programs: ['nginx', 'fcgiwrap', 'git-http-backend'],
  cannot: { 'the first pushed branch becomes HEAD': 'git http-backend leaves HEAD as it is' },

  start: async (t, folder) => {
    const root = join(folder, 'backend-repositories')
    mkdirSync(root, { recursive: true })
    const port = await freePort()
    const socket = await startFcgiwrap(t, folder, 4)
    await startNginx(t, join(folder, 'nginx'), httpBackend(port, socket, root), port)
    return { url: `http://127.0.0.1:${port}`, createRepository: bareRepositories(root) }
  },
}

/** The shipped server block, for a port, fcgiwrap's socket and a folder of repositories. */
export function httpBackend(port: number, socket: string, root: string): string {
  return shippedConfiguration('behind/nginx.conf', {
    '127.0.0.1:9000': `127.0.0.1:${port}`,
    '/run/fcgiwrap.socket': socket,
    '/srv/git': root,
  })
}

/** Starts fcgiwrap. @param workers how many requests it serves at once @returns its socket */
export async function startFcgiwrap(t: Owner, folder: string, workers: number): Promise<string> {
  const socket = join(folder, 'fcgiwrap.socket')
  await startServer(t, findProgram('fcgiwrap') ?? 'fcgiwrap', ['-c', String(workers), '-s', `unix:${socket}`], {
    path: socket,
  })
  return socket
}

/** Starts nginx in a folder of its own, with server blocks of which one listens on a port. */
export async function startNginx(t: Owner, folder: string, servers: string, port: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  )
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  const whole = `${user}daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${servers}}\n`
  writeFileSync(file, whole)
  await startServer(t, '/usr/sbin/nginx', ['-c', file, '-p', folder], { port })
}
