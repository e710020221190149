import { FastImport } from './fast-import.js'

let advances = 0

/** Adds a commit to `main` of a repository, behind the servers' backs. */
export async function advance(folder: string): Promise<void> {
  const commits = new FastImport(folder)
  await commits.commit('refs/heads/main', [{ path: 'news', content: `${String(++advances)}\n` }], 'refs/heads/main^0')
  await commits.end()
}
