import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Creates bare repositories in a folder, as an administrator would by hand. */
export function bareRepositories(root: string) {
  return (path: string, format: 'sha1' | 'sha256'): Promise<string> => {
    const folder = join(root, `${path}.git`)
    mkdirSync(dirname(folder), { recursive: true })
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', `--object-format=${format}`, folder])
    return Promise.resolve(folder)
  }
}
