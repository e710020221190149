import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startApache, runsAs } from './apache.js'
import type { BackendKind } from './backend.js'
import { SETTINGS } from './backend.js'

/** gitolite3 over Apache, configured as `docs/deploy/behind/gitolite.conf` says. Its own rules see the user's name. */
export const gitolite: BackendKind = {
  name: 'gitolite3 over Apache',
  programs: ['apache2', 'gitolite'],
  cannot: {
    'a SHA-256 repository': 'gitolite creates repositories itself, with SHA-1',
    'the first pushed branch becomes HEAD': 'gitolite leaves HEAD as it is',
  },

  start: async (t, folder) => {
    const home = join(folder, 'gitolite')
    mkdirSync(home)
    runsAs.adopt(home)
    const run = (program: string, ...args: string[]) =>
      execFileSync(program, args, {
        cwd: home,
        ...runsAs.credentials,
        env: { PATH: process.env['PATH'] ?? '', HOME: home },
        stdio: 'pipe',
      })
    run('gitolite', 'setup', '-a', 'root')
    const url = await startApache(t, folder, 'behind/gitolite.conf', { '/var/lib/gitolite3': home })

    const rules: string[] = []
    const createRepository = (path: string): Promise<string> => {
      // alice may do everything, mallory may read: gitgate lets both try.
      rules.push(`repo ${path}\n    RW+ = alice\n    R = mallory\n`)
      writeFileSync(join(home, '.gitolite/conf/gitolite.conf'), rules.join('\n'))
      runsAs.adopt(home)
      run('gitolite', 'compile')
      const repository = join(home, 'repositories', `${path}.git`)
      run('git', '--git-dir', repository, 'symbolic-ref', 'HEAD', 'refs/heads/main')
      for (const setting of SETTINGS) run('git', '--git-dir', repository, 'config', ...setting.split('='))
      return Promise.resolve(repository)
    }
    return { url, createRepository, adopt: runsAs.adopt }
  },
}
