import { cpSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePort, startServer } from '../../test/backends/backend.js'
import type { Owner } from '../../test/backends/backend.js'
import { GitgateCli } from '../../test/acceptance/gitgate-cli.js'
import type { Credentials } from './nginx.js'

/** The executable of this checkout. */
const PROGRAM = resolve(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')

/**
 * Makes the data of a gate with one account that may write everywhere.
 *
 * @param program the gate's executable; only that one is sure to open its data
 * @returns the account's token, as Basic credentials
 */
export async function prepareGate(folder: string, program = PROGRAM): Promise<Credentials> {
  const cli = cliIn(folder, program)
  const ask = async (args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await cli.runProcess(args)
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} exited with ${status}: ${stderr}`)
    return stdout.trim()
  }
  const username = 'bench'
  await ask(['user', 'add', username])
  await ask(['access', 'grant', username, 'write', '**'])
  const password = await ask(['token', 'create', username, '--name', 'bench', '--scopes', 'write_repository'])
  return { username, password }
}

/**
 * Starts a gate as its users do.
 *
 * @param prepared the folder of {@link prepareGate}; each gate gets a copy of its own
 * @param program its executable
 * @returns its URL
 */
export async function startGate(
  owner: Owner,
  folder: string,
  prepared: string,
  flags: readonly string[],
  program = PROGRAM,
): Promise<string> {
  cpSync(prepared, folder, { recursive: true })
  const port = await freePort()
  const { env } = cliIn(folder, program)
  // By its port, not by its output: that of another version may have another wording.
  await startServer(owner, process.execPath, [program, 'serve', '--port', String(port), ...flags], { port }, env)
  return `${flags.includes('--tls-cert') ? 'https' : 'http'}://127.0.0.1:${port}`
}

/** Whether `gitgate serve` has an option. */
export async function serveHas(option: string, folder: string): Promise<boolean> {
  return (await cliIn(folder).ask(['serve', '--help'])).includes(option)
}

function cliIn(folder: string, program = PROGRAM): GitgateCli {
  mkdirSync(folder, { recursive: true })
  // Not the whole 30 seconds: a run that was broken off leaves transfers behind.
  const env = { GITGATE_SHUTDOWN_TIMEOUT: '1', GITGATE_DATA: join(folder, 'data') }
  return new GitgateCli(folder, env, { program })
}
