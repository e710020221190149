import fc from 'fast-check'
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { RepositoryFolder } from '../../src/git/embedded/repository-folder.js'
import type { BackendRequest, ResponseWriter } from '../../src/protocol/backend.js'
import type { GitRequest } from '../../src/protocol/git-request.js'
import { parseGitRequest } from '../../src/protocol/git-request.js'
import type { UpstreamOptions } from '../../src/git/upstream/upstream-backend.js'
import { upstream } from '../../src/git/upstream/upstream-backend.js'
import type { Forward } from '../../src/git/upstream/forward.js'

const PARTS = [
  ...[
    'a',
    'team',
    'App-1_x.y',
    'x.GIT',
    'app.git',
    '.git',
    'git',
    'x.git.git',
    'app.lock',
    'app.lock.git',
    'n'.repeat(251),
  ],
  ...[
    '.',
    '..',
    '...',
    '.a',
    'a.',
    '-x',
    '--upload-pack=x',
    '_',
    '',
    ' ',
    'a b',
    'a;b',
    'a:b',
    '~',
    '*',
    '#x',
    'é',
    '\0',
    '\n',
  ],
  ...[
    '%2e',
    '%2e%2e',
    '%2f',
    '%2F..',
    '%5c',
    '%00',
    '%61',
    '%',
    '%zz',
    '%252e',
    '%20',
    'a%20b',
    'a+b',
    'a%2Bb',
    '%C3%A9',
    '\u00c3\u00a9',
    'e%CC%81',
    '~a',
    '%40',
    'a%2fb',
    '\\',
    '..\\',
    'a\\b',
    '\u2024',
    '\uff0e',
  ],
  ...[
    'info',
    'refs',
    'info/refs',
    'git-upload-pack',
    'git-receive-pack',
    'HEAD',
    'objects',
    '?',
    '&',
    '=',
    '@',
    'http:',
    '//x',
  ],
]
const ENDS = [
  '/info/refs?service=git-upload-pack',
  '/info/refs?service=git-receive-pack',
  '/git-upload-pack',
  '/git-receive-pack',
]
const part = fc.oneof({ arbitrary: fc.constantFrom(...PARTS), weight: 8 }, fc.string({ unit: 'binary', maxLength: 3 }))
const wellSpelt = fc.stringMatching(/^[a-z_][a-z0-9_.-]{0,3}$/)
const joined = (parts: fc.Arbitrary<string>) =>
  fc.tuple(fc.array(parts, { maxLength: 4 }), fc.constantFrom('/', '', '//')).map(([all, by]) => all.join(by || '/'))

/** Request targets: well spelt, odd, and odd ones that end as Git's do. */
const target = fc
  .tuple(
    fc.oneof({ arbitrary: joined(wellSpelt), weight: 2 }, joined(part)),
    fc.constantFrom('.git', '.git', '.git', '', '.git/'),
    fc.constantFrom(...ENDS, ...ENDS, '', '/x'),
  )
  .map((parts) => `/${parts.join('')}`)

/**
 * Asserts of generated request targets that what is authorised is what is served: the path that goes to an upstream, as any server
 * would read it, and the folder that the embedded server opens, are those of the repository that was decided about.
 *
 * @returns how many of the targets were Git requests
 */
export async function checkPaths(t: Test, numRuns: number, seed: number): Promise<number> {
  const folder = new RepositoryFolder(temporaryFolder(t))
  const forwarded: string[] = []
  const forward: Forward = ({ path }, { onError }) => {
    forwarded.push(path)
    queueMicrotask(() => onError(new Error('no upstream'), false))
    return () => undefined
  }
  const backend = upstream({
    forward,
    gate: { publicUrl: () => 'http://gate' } as UpstreamOptions['gate'],
    headersTimeout: 1,
  })
  const { signal } = new AbortController()
  let count = 0
  const isServedAsAuthorised = async (method: string, target: string): Promise<boolean> => {
    const parsed = parseGitRequest(method, target, 'upstream')
    if (parsed.kind !== 'git') return true
    count++
    forwarded.length = 0
    const { phase, service } = parsed.request
    const serve = phase === 'advertisement' ? 'advertise' : service === 'git-upload-pack' ? 'uploadPack' : 'receivePack'
    const request = { ...parsed.request, body: Readable.from([]), signal, preferences: {} }
    await backend[serve](request as unknown as BackendRequest, {} as ResponseWriter)
    const path = forwarded.pop()
    // Before a body, the spelling of the folder is found out.
    const probe = { ...parsed.request, phase: 'advertisement', service: 'git-upload-pack' } as const
    const areOf = forwarded.length <= 1 && forwarded.every((other) => isOf(probe, other))
    const isForwarded = path !== undefined && areOf && isOf(parsed.request, path)
    const own = parseGitRequest(method, target)
    return isForwarded && (own.kind === 'malformed' || (own.kind === 'git' && isInside(folder, own.request)))
  }
  await fc.assert(fc.asyncProperty(fc.constantFrom('GET', 'POST'), target, isServedAsAuthorised), { numRuns, seed })
  return count
}

/** Whether servers of every habit read a path as that repository: those that decode, that resolve dots, that merge slashes. */
function isOf({ repository, service, phase }: GitRequest, path: string): boolean {
  const { pathname, searchParams, host } = new URL(path, 'http://upstream')
  const own = phase === 'advertisement' ? '/info/refs' : `/${service}`
  return (
    host === 'upstream' &&
    path.startsWith(pathname) &&
    decodeURIComponent(pathname) === `/${repository}.git${own}` &&
    // Who decodes again, or for too long, gets the same.
    decodeURIComponent(decodeURIComponent(pathname)) === decodeURIComponent(pathname) &&
    posix.normalize(decodeURIComponent(pathname)) === decodeURIComponent(pathname) &&
    !/[\0-\x1f\x7f\\;?#*]/.test(decodeURIComponent(pathname)) &&
    (phase === 'advertisement' ? searchParams.getAll('service').join() === service : path === pathname)
  )
}

function isInside(folder: RepositoryFolder, { repository }: GitRequest): boolean {
  return posix.relative(folder.root, folder.locate(repository)) === `${repository}.git`
}
