import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Owner } from '../../test/backends/backend.js'
import { GitgateCli } from '../../test/acceptance/gitgate-cli.js'
import type { Credentials } from './nginx.js'

/** Makes the data of a gate with one account that may write everywhere. @returns its token, as Basic credentials */
export async function prepareGate(folder: string): Promise<Credentials> {
  const cli = cliIn(folder)
  const username = 'bench'
  await cli.ask(['user', 'add', username])
  await cli.ask(['access', 'grant', username, 'write', '**'])
  const password = await cli.ask(['token', 'create', username, '--name', 'bench', '--scopes', 'write_repository'])
  return { username, password }
}

/**
 * Starts a gate as its users do.
 *
 * @param prepared the folder of {@link prepareGate}; each gate gets a copy of its own
 * @returns its URL
 */
export async function startGate(
  owner: Owner,
  folder: string,
  prepared: string,
  flags: readonly string[],
): Promise<string> {
  cpSync(prepared, folder, { recursive: true })
  return (await cliIn(folder).serveProcess(owner, ['serve', '--port', '0', ...flags])).url
}

/** Whether `gitgate serve` has an option. */
export async function serveHas(option: string, folder: string): Promise<boolean> {
  return (await cliIn(folder).ask(['serve', '--help'])).includes(option)
}

function cliIn(folder: string): GitgateCli {
  mkdirSync(folder, { recursive: true })
  // Not the whole 30 seconds: a run that was broken off leaves transfers behind.
  const env = { GITGATE_SHUTDOWN_TIMEOUT: '1', GITGATE_DATA: join(folder, 'data') }
  return new GitgateCli(folder, env)
}
