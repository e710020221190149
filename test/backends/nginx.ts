import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BackendKind } from './backend.js'
import { freePort, shippedConfiguration, startServer } from './backend.js'
import { bareRepositories } from './bare-repositories.js'

/** nginx + fcgiwrap + git http-backend, configured as `docs/deploy/behind/nginx.conf` says. */
export const nginx: BackendKind = {
  name: 'nginx + git http-backend',
  programs: ['nginx', 'fcgiwrap', 'git-http-backend'],
  cannot: { 'the first branch that is pushed becomes HEAD': 'git http-backend leaves HEAD as it is' },

  start: async (t, folder) => {
    const root = join(folder, 'backend-repositories')
    const port = await freePort()
    const socket = join(folder, 'fcgiwrap.socket')
    for (const name of ['backend-repositories', 'nginx']) mkdirSync(join(folder, name), { recursive: true })
    const server = shippedConfiguration('behind/nginx.conf', {
      '127.0.0.1:9000': `127.0.0.1:${port}`,
      '/run/fcgiwrap.socket': socket,
      '/srv/git': root,
    })
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/nginx/${kind};`,
    )
    const user = process.getuid?.() === 0 ? 'user root;\n' : ''
    const whole = `${user}daemon off;\nmaster_process off;\npid ${folder}/nginx/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${server}}\n`
    writeFileSync(join(folder, 'nginx.conf'), whole)
    await startServer(t, 'fcgiwrap', ['-c', '4', '-s', `unix:${socket}`], { path: socket })
    await startServer(t, '/usr/sbin/nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { port })
    return { url: `http://127.0.0.1:${port}`, createRepository: bareRepositories(root) }
  },
}
