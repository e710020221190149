import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BackendKind } from './backend.js'
import { freePort, SETTINGS, startServer } from './backend.js'
import { bareRepositories } from './bare-repositories.js'

const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'test', 'backends', 'node-git-server.js')

/** node-git-server, as `npm run backend:node-git-server` starts it. */
export const nodeGitServer: BackendKind = {
  name: 'node-git-server',
  programs: ['git'],
  cannot: {
    'the first pushed branch becomes HEAD': 'it leaves HEAD as it is',
    'the hook gets push options and the username, but no secret': 'its hooks don’t get the username',
    'a push of only notes or other refs': 'it hangs on a push without a branch or tag; the gate answers 504',
  },

  start: async (t, folder) => {
    const root = join(folder, 'backend-repositories')
    mkdirSync(root, { recursive: true })
    const port = await freePort()
    await startServer(t, process.execPath, [PROGRAM, root, String(port)], { port })
    const create = bareRepositories(root)
    const createRepository = async (path: string, format: 'sha1' | 'sha256'): Promise<string> => {
      const repository = await create(path, format)
      // It has no settings of its own, but git reads those of the repository.
      for (const setting of SETTINGS) execFileSync('git', ['--git-dir', repository, 'config', ...setting.split('=')])
      return repository
    }
    return { url: `http://127.0.0.1:${port}`, createRepository }
  },
}
