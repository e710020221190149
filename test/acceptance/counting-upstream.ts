import { spawn } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import type { Test } from 'tap'
import type { BackendKind } from '../backends/backend.js'
import { httpUpstream } from '../git/upstream/stand-in.js'
import { temporaryFolder } from './temporary-folder.js'
import { GitClient } from './git-client.js'

/** What a server was asked. */
type UpstreamRequests = { readonly user: string; readonly what: 'advertisement' | 'refs' | 'pack' | 'push' }

/** How a server behaves badly. */
type Behaviour = 'well' | 'gzip' | 'gzip where it is accepted' | 'dies' | 'stops' | 404 | 500

const PACK_DIES_AFTER = 1_500_000

/**
 * A Git server that shows each user a repository of their own under one path, and notes what it is asked. Git itself answers.
 */
export async function countingUpstream(t: Test) {
  const folder = temporaryFolder(t)
  const git = new GitClient(folder, 'server')
  const requests: UpstreamRequests[] = []
  const state: { behaviour: Behaviour } = { behaviour: 'well' }
  const held = new Map<UpstreamRequests['what'], (made: Buffer) => Promise<Buffer>>()
  const kind: BackendKind = await httpUpstream(t, (request, response) => {
    void answer(request, response).catch(() => response.destroy())
  })

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const user = String(request.headers['x-forwarded-user'] ?? 'nobody')
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const isAdvertisement = pathname.endsWith('/info/refs')
    const service = isAdvertisement ? String(searchParams.get('service')) : pathname.replace(/^.*\//, '')
    const isPush = !isAdvertisement && service === 'git-receive-pack'
    // Before it has sent all.
    if (isPush) requests.push({ user, what: 'push' })
    const body = isAdvertisement ? Buffer.alloc(0) : await bodyOf(request)
    const read = body.includes('command=ls-refs') ? 'refs' : 'pack'
    const what = isAdvertisement ? 'advertisement' : isPush ? 'push' : read
    if (!isPush) requests.push({ user, what })
    const { behaviour } = state
    if (typeof behaviour === 'number') {
      response.writeHead(behaviour).end()
      return
    }
    const args = [service.replace('git-', ''), '--stateless-rpc', ...(isAdvertisement ? ['--advertise-refs'] : [])]
    const settings = ['uploadpack.allowFilter=true', 'safe.directory=*'].flatMap((setting) => ['-c', setting])
    const child = spawn('git', [...settings, ...args, join(folder, `${user}.git`)], {
      env: { PATH: process.env['PATH'] ?? '', GIT_PROTOCOL: String(request.headers['git-protocol'] ?? '') },
    })
    child.stdin.on('error', () => undefined).end(body)
    const accepted = String(request.headers['accept-encoding'])
    const isPlain = behaviour === 'gzip where it is accepted' ? !/gzip/.test(accepted) : behaviour !== 'gzip'
    // Its end is that of the connection, so that nobody can tell where it should be.
    response.useChunkedEncodingByDefault = behaviour !== 'stops'
    response.writeHead(200, {
      'Content-Type': `application/x-${service}-${isAdvertisement ? 'advertisement' : 'result'}`,
      ...(isPlain ? {} : { 'Content-Encoding': 'gzip' }),
      ...(behaviour === 'stops' ? { Connection: 'close' } : {}),
    })
    const output = isPlain ? response : createGzip()
    if (output !== response) output.pipe(response)
    if (isAdvertisement)
      output.write(`${(service.length + 15).toString(16).padStart(4, '0')}# service=${service}\n0000`)
    const hold = held.get(what)
    if (hold !== undefined) {
      held.delete(what)
      output.end(await hold(await bytesOf(child.stdout)))
      return
    }
    let length = 0
    for await (const piece of child.stdout) {
      length += (piece as Buffer).length
      output.write(piece)
      if (length < PACK_DIES_AFTER || what !== 'pack') continue
      if (behaviour === 'dies') {
        child.kill()
        response.destroy()
        return
      }
      if (behaviour === 'stops') {
        child.kill()
        break
      }
    }
    output.end()
  }

  return {
    kind,
    folder,
    git,
    /** What was asked, by all or by one. */
    count: (what: UpstreamRequests['what'], user?: string): number =>
      requests.filter((one) => one.what === what && (user === undefined || one.user === user)).length,
    behave: (behaviour: Behaviour): void => void (state.behaviour = behaviour),
    /** Holds back the next answer. @returns when it is made, and what lets it go */
    hold: (what: UpstreamRequests['what']) => {
      const [made, isMade] = promised()
      const [released, release] = promised()
      held.set(what, async (answer) => {
        isMade()
        await released
        return answer
      })
      return { made, release }
    },
    /** Makes the repository that a user is shown, of what a folder has on some branches. */
    show: async (user: string, from: string, ...branches: string[]): Promise<void> => {
      const shown = join(folder, `${user}.git`)
      await git.run(['init', '-q', '--bare', shown])
      await git.run(['push', '-q', shown, ...branches], { cwd: from })
    },
  }
}

function promised(): [promise: Promise<void>, resolve: () => void] {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return [promise, resolve]
}

function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return bytesOf(request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request)
}

async function bytesOf(source: Readable): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of source) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
