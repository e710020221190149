import type { RepositoryPath } from './repository-path.js'
import { parseRepositoryPath } from './repository-path.js'

/** Git's two services over HTTP: what a client wants done. */
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
  /** Something else under `<repository>.git`: the dumb protocol, an unknown service. Never served. */
  | { readonly kind: 'unserved' }
  /** `HEAD …/info/refs`, which GitLab refuses before it looks at credentials. */
  | { readonly kind: 'head' }
  /** The advertisement without `.git`; `location` is relative to the request's URL. */
  | { readonly kind: 'redirect'; readonly location: string }
  /** A repository's URL that breaks the spelling, such as `//`, `..` or a percent sign. */
  | { readonly kind: 'malformed'; readonly reason: string }
  /** An RPC without `.git`: a redirected POST would lose its body, so it is not redirected. */
  | { readonly kind: 'suffix-missing' }
  /** Not Git's. */
  | { readonly kind: 'other' }

const ADVERTISEMENT_PATH = 'info/refs'
const REDIRECTED_QUERIES = new Set(['', 'service=git-upload-pack', 'service=git-receive-pack'])

/** Whether a path may be Git's: something under `<name>.git`, or one of the protocol's own names at its end. */
export function isGitPath(path: string): boolean {
  return /\.git\/|\/(info\/refs|git-upload-pack|git-receive-pack)$/.test(path)
}

/**
 * Reads a request line. This is the only place that looks at paths and at `?service=`; afterwards only the parsed value
 * travels, so that what is authorised is what is served.
 *
 * @param method the HTTP method
 * @param target the request target in origin form (RFC 9112, 3.2.1): path and query, as received
 */
export function parseGitRequest(method: string, target: string): ParsedGitRequest {
  const [path, query] = splitTarget(target)
  const segments = path.split('/').slice(1)
  const last = segments.findIndex((segment) => segment.endsWith('.git'))
  if (last === -1) return parseWithoutSuffix(method, segments, query)
  // `/name.git` alone is a page's address, not a Git request.
  if (last === segments.length - 1) return { kind: 'other' }

  const repository = parseRepositoryPath(
    segments
      .slice(0, last + 1)
      .join('/')
      .slice(0, -'.git'.length),
  )
  if (repository === undefined) return malformed(path)
  return parseUnderRepository(method, repository, segments.slice(last + 1).join('/'), query)
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
  return { kind: 'unserved' }
}

function parseWithoutSuffix(method: string, segments: readonly string[], query: string): ParsedGitRequest {
  const path = segments.join('/')
  const tail = [ADVERTISEMENT_PATH, 'git-upload-pack', 'git-receive-pack'].find((end) => path.endsWith(`/${end}`))
  if (tail === undefined) return { kind: 'other' }
  const name = path.slice(0, -tail.length - 1)
  if (parseRepositoryPath(name) === undefined) return malformed(name)
  if (tail !== ADVERTISEMENT_PATH) return method === 'POST' ? { kind: 'suffix-missing' } : { kind: 'other' }
  if (method !== 'GET' || !REDIRECTED_QUERIES.has(query)) return { kind: 'other' }
  // Relative to the last segment, so that it stays right behind a proxy that serves the gate under a prefix.
  const location = `../../${name.slice(name.lastIndexOf('/') + 1)}.git/${ADVERTISEMENT_PATH}`
  return { kind: 'redirect', location: query === '' ? location : `${location}?${query}` }
}

function malformed(path: string): ParsedGitRequest {
  const bad = path.split('/').find((segment) => segment.includes('%') || segment.includes('\\'))
  const reason =
    bad === undefined
      ? 'a repository is group/name; each part begins with a letter, a digit or _, goes on with those and . and -, and does not end in .lock'
      : 'the path of a repository holds no percent-encoding and no backslash'
  return { kind: 'malformed', reason }
}

function splitTarget(target: string): readonly [path: string, query: string] {
  const mark = target.indexOf('?')
  return mark === -1 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
}

function isService(text: string | undefined): text is Service {
  return text === 'git-upload-pack' || text === 'git-receive-pack'
}
