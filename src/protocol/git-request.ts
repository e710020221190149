import type { NameRule, RepositoryPath } from './repository-path.js'
import { parseRepositoryPath } from './repository-path.js'

/** Git's two services over HTTP. */
export type Service = 'git-upload-pack' | 'git-receive-pack'

/**
 * A request of Git's smart HTTP protocol, parsed once. The advertisement is `GET …/info/refs?service=…`, the RPC is the
 * POST that follows (Git's documentation: gitprotocol-http).
 */
export type GitRequest = {
  readonly repository: RepositoryPath
  readonly service: Service
  readonly phase: 'advertisement' | 'rpc'
}

/** What a request line means to Git. */
export type ParsedGitRequest =
  /** A request of the smart protocol. */
  | { readonly kind: 'git'; readonly request: GitRequest }
  /** A request of Git LFS (Git LFS's documentation: api). */
  | { readonly kind: 'lfs' }
  /** Something else under a repository: the dumb protocol, an unknown service. Never served. */
  | { readonly kind: 'unserved' }
  /** `HEAD …/info/refs`, which GitLab refuses before it looks at credentials. */
  | { readonly kind: 'head' }
  /** A repository's URL that breaks the spelling, such as `..` or a backslash. */
  | { readonly kind: 'malformed'; readonly reason: string }
  /** Not Git's. */
  | { readonly kind: 'other' }

const ADVERTISEMENT_PATH = 'info/refs'

/** Whether a path may be Git's: something under `<name>.git`, or one of the protocol's own names at its end. */
export function isGitPath(path: string): boolean {
  return /\.git\/|\/(info\/+refs|git-upload-pack|git-receive-pack)\/*$|\/info\/+lfs\//.test(path)
}

/**
 * Reads a request line. This is the only place that looks at paths and at `?service=`; afterwards only the parsed value
 * travels, so that what is authorised is what is served. A repository's URL may end in `.git` or not, and superfluous slashes
 * don't count.
 *
 * @param method the HTTP method
 * @param target the request target in origin form (RFC 9112, 3.2.1): path and query, as received
 * @param rule whose names repositories have
 */
export function parseGitRequest(method: string, target: string, rule: NameRule = 'own'): ParsedGitRequest {
  const [path, query] = splitTarget(target)
  const split = splitAtRepository(path.split('/').filter((segment) => segment !== ''))
  if (split === undefined) return { kind: 'other' }
  const names = split.name.map(decodeSegment)
  const repository = names.some((name) => name.includes('/')) ? undefined : parseRepositoryPath(names.join('/'), rule)
  if (repository === undefined) return malformed(names, rule)
  return parseUnderRepository(method, repository, split.rest.join('/'), query)
}

/** Splits a path into the name of a repository, without `.git`, and the rest; `undefined` if one is missing. */
function splitAtRepository(
  segments: readonly string[],
): { readonly name: readonly string[]; readonly rest: readonly string[] } | undefined {
  const last = segments.findIndex((segment) => segment.endsWith('.git'))
  const end = last === -1 ? startOfProtocol(segments) : last + 1
  // `/name.git` alone is a page's address, not a Git request.
  if (end < 1 || end === segments.length) return undefined
  const name = segments.slice(0, end)
  if (last !== -1) name[last] = name[last]?.slice(0, -'.git'.length) ?? ''
  return { name, rest: segments.slice(end) }
}

/** Where the protocol's own names begin. @returns -1 if there are none */
function startOfProtocol(segments: readonly string[]): number {
  if (isService(segments.at(-1))) return segments.length - 1
  if (segments.slice(-2).join('/') === ADVERTISEMENT_PATH) return segments.length - 2
  return segments.findIndex((segment, index) => segment === 'info' && segments[index + 1] === 'lfs')
}

/** Decodes a segment once. @returns the segment itself if its encoding is wrong, which then is no name */
function decodeSegment(segment: string): string {
  if (!/[%\x80-\xff]/.test(segment)) return segment
  try {
    // Node gives the bytes that a client didn't encode as Latin-1.
    return decodeURIComponent(segment.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`))
  } catch {
    return segment
  }
}

function parseUnderRepository(
  method: string,
  repository: RepositoryPath,
  rest: string,
  query: string,
): ParsedGitRequest {
  if (rest === ADVERTISEMENT_PATH) {
    if (method === 'HEAD') return { kind: 'head' }
    const services = new URLSearchParams(query).getAll('service')
    if (services.length > 1) return { kind: 'malformed', reason: 'the query names more than one service' }
    const service = services[0]
    if (method === 'GET' && isService(service)) {
      return { kind: 'git', request: { repository, service, phase: 'advertisement' } }
    }
  }
  if (method === 'POST' && isService(rest)) {
    return { kind: 'git', request: { repository, service: rest, phase: 'rpc' } }
  }
  return rest.startsWith('info/lfs/') ? { kind: 'lfs' } : { kind: 'unserved' }
}

function malformed(segments: readonly string[], rule: NameRule): ParsedGitRequest {
  const bad = segments.find((segment) => segment.includes('%') || segment.includes('\\'))
  const reason =
    bad === undefined
      ? `a repository is group/name; each part begins with a letter, a digit or _, goes on with ${rule === 'own' ? 'those and . and -' : 'those, blanks and . - ~ + @'}, and does not end in .lock`
      : 'the path of a repository holds no percent sign and no backslash'
  return { kind: 'malformed', reason }
}

function splitTarget(target: string): readonly [path: string, query: string] {
  const mark = target.indexOf('?')
  return mark === -1 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
}

function isService(text: string | undefined): text is Service {
  return text === 'git-upload-pack' || text === 'git-receive-pack'
}
