import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { join } from 'node:path'
import type { GitClient } from './git-client.js'
import { basic } from './http-client.js'

/** A commit with much in it. */
export type LargeCommit = {
  readonly folder: string
  readonly oid: string
  /** How much of it does not compress, in bytes: a pack of it is longer. */
  readonly size: number
}

// More than git unpacks on arrival (receive.unpackLimit, 100): the server keeps the pack, and each clone copies its bytes
// instead of compressing them anew.
const NOISE_FILES = 128

/** Makes a repository whose pack is `mebibytes` large and does not compress. */
export async function largeCommit(git: GitClient, name: string, mebibytes: number): Promise<LargeCommit> {
  const folder = await git.init(name)
  // Git would spend a second for each 10 MiB to find out that noise does not compress.
  await git.run(['config', 'core.compression', '0'], { cwd: folder })
  await git.run(['config', 'pack.window', '0'], { cwd: folder })
  for (let file = 0; file < NOISE_FILES; file += 1)
    writeFileSync(join(folder, `noise-${file}`), randomBytes((mebibytes * 1_048_576) / NOISE_FILES))
  await git.run(['add', '.'], { cwd: folder })
  await git.run(['commit', '-q', '-m', 'Noise'], { cwd: folder })
  return { folder, oid: await git.ask(['rev-parse', 'HEAD'], { cwd: folder }), size: mebibytes * 1_048_576 }
}

/** Where a raw request goes. */
export type TransferTarget = { readonly url: string; readonly path: string; readonly password: string }

/**
 * Begins a fetch of one commit and waits for its head. The answer is not read until the caller does.
 *
 * @param more capabilities; with one that nobody knows, the answer does not come from the cache, nor go there
 */
export async function beginFetch(
  place: TransferTarget,
  oid: string,
  more: readonly string[] = [],
): Promise<{ call: ClientRequest; answer: IncomingMessage }> {
  const call = beginRpc(place, 'git-upload-pack')
  const capabilities = ['side-band-64k', 'no-progress', ...more].join(' ')
  call.end(`${packet(`want ${oid} ${capabilities}\n`)}0000${packet('done\n')}`)
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  return { call, answer }
}

/** Begins a push that creates a branch at a commit, and sends as much of the pack as is given. */
export function beginPush(place: TransferTarget, oid: string, pack: Buffer): ClientRequest {
  const call = beginRpc(place, 'git-receive-pack')
  call.write(`${packet(`${'0'.repeat(40)} ${oid} refs/heads/pushed\0 report-status side-band-64k\n`)}0000`)
  call.write(pack)
  return call
}

/** The pack that a push of a commit would send. */
export function packOf({ folder }: LargeCommit): Buffer {
  return execFileSync('git', ['pack-objects', '--revs', '--stdout', '-q'], {
    cwd: folder,
    input: 'HEAD\n',
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
}

function beginRpc({ url, path, password }: TransferTarget, service: string): ClientRequest {
  const { protocol, hostname, port } = new URL(url)
  const headers = { Authorization: basic('', password), 'Content-Type': `application/x-${service}-request` }
  const options = { hostname, port, path: `/${path}.git/${service}`, method: 'POST', headers, agent: false as const }
  const call = protocol === 'https:' ? secureRequest({ ...options, rejectUnauthorized: false }) : request(options)
  // What matters is told by the answer, or by `close`.
  return call.on('error', () => undefined)
}

function packet(text: string): string {
  return (text.length + 4).toString(16).padStart(4, '0') + text
}

/** The processes that work in a repository: git and what it has started. */
export function processesIn(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/cwd`) === folder
      } catch {
        return false
      }
    })
    .map(Number)
}

/** What pushes have left among a repository's objects. */
export function quarantinesIn(folder: string): string[] {
  return readdirSync(join(folder, 'objects')).filter((name) => name.startsWith('tmp_'))
}

/** What a process was started as. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** The processes that a process has started and that live. */
export function childrenOf(pid: number | undefined): number[] {
  return readFileSync(`/proc/${pid ?? 0}/task/${pid ?? 0}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
}
