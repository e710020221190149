import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Whatever ends what was started for it: a test, or a bench. */
export type Owner = { teardown(end: () => unknown): unknown }

/** A Git server that a gate can stand before, started for a test or a bench. */
export type StartedBackend = {
  readonly url: string
  /** Creates an empty repository as this server's administrator would. @returns its folder on disk */
  readonly createRepository: (path: string, format: 'sha1' | 'sha256') => Promise<string>
  /** Gives files that a test has put into a repository to whom the server runs as. */
  readonly adopt?: (folder: string) => void
}

/** A kind of Git server. */
export type BackendKind = {
  readonly name: string
  /** The programs that must be installed. */
  readonly programs: readonly string[]
  /** What it can't do, by the name of the conformance test, and why. */
  readonly cannot: Readonly<Record<string, string>>
  /** Starts one whose files are in a folder; it ends with its owner. Absent for the embedded server. */
  readonly start?: (t: Owner, folder: string) => Promise<StartedBackend>
}

/** What a server without settings of its own must find in each repository's configuration. */
export const SETTINGS = [
  'uploadpack.allowFilter=true',
  'uploadpack.allowAnySHA1InWant=true',
  'receive.advertisePushOptions=true',
  'receive.fsckObjects=true',
]

/** A port that was free just now. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
    server.on('error', reject)
  })
}

/** Starts a server program, which ends with its owner, and waits until something listens. */
export async function startServer(
  t: Owner,
  program: string,
  args: readonly string[],
  address: { readonly port: number } | { readonly path: string },
  env: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(program, args, { env: { PATH: process.env['PATH'] ?? '', ...env }, detached: true })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  t.teardown(async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
    await ended
  })
  for (let i = 0; i < 500; i++) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${said}`)
    if (await accepts(address)) return child
    await new Promise((done) => setTimeout(done, 10))
  }
  throw new Error(`${program} does not listen: ${said}`)
}

/** A configuration as it ships in `docs/deploy`, with this test's places in it. */
export function shippedConfiguration(name: string, replacements: Readonly<Record<string, string>>): string {
  let text = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'deploy', name), 'utf8')
  for (const [place, own] of Object.entries(replacements)) {
    if (!text.includes(place)) throw new Error(`${name} does not mention ${place}`)
    text = text.replaceAll(place, own)
  }
  return text
}

async function accepts(address: { readonly port: number } | { readonly path: string }): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = 'path' in address ? connect(address.path) : connect(address.port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
