import type { TokenOnlyReason } from '../policies/password-use.js'
import type { BackendRefusal } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Scope } from '../tokens/scope.js'

/** Why a request is not served. Every kind has its status and its text in {@link describeRefusal}. */
export type Refusal =
  /** No credentials, and the repository is not readable anonymously. */
  | { readonly kind: 'credentials-missing' }
  /** A wrong password, or a token that is unknown, or whose owner is blocked. */
  | { readonly kind: 'credentials-wrong' }
  /** A token that was valid once; only its holder learns this. */
  | { readonly kind: 'token-over'; readonly token: string; readonly state: 'expired' | 'revoked'; readonly on: string }
  | { readonly kind: 'credentials-malformed'; readonly reason: string }
  /** It isn't clear which of them is meant. */
  | { readonly kind: 'credentials-repeated' }
  /** Begins like a token, but its checksum is wrong. */
  | { readonly kind: 'token-mistyped' }
  /** A token as the username, beside a password. */
  | { readonly kind: 'token-misplaced' }
  /** A password was given where only a token is accepted, whether or not it was right. */
  | { readonly kind: 'token-required'; readonly reason: TokenOnlyReason }
  | { readonly kind: 'tokens-off' }
  | { readonly kind: 'banned' }
  | { readonly kind: 'busy' }
  /** All slots are taken and the queue is full. */
  | { readonly kind: 'overloaded' }
  /** For example, the volume of the repositories isn't mounted. */
  | { readonly kind: 'repositories-unavailable' }
  | {
      readonly kind: 'scope-too-small'
      readonly ability: Ability
      readonly token: string
      readonly scopes: readonly Scope[]
    }
  /** Missing and unreadable repositories get the same refusal, so that nobody learns what exists. */
  | {
      readonly kind: 'repository-not-found'
      readonly repository: RepositoryPath
      readonly username: string
      readonly limited: boolean
    }
  /** An account that may read the path may also learn that there is no repository. */
  | { readonly kind: 'repository-missing'; readonly repository: RepositoryPath; readonly mayCreate: boolean }
  /** The upstream has no repository of this name; the account was already authorised for it. */
  | { readonly kind: 'upstream-missing'; readonly repository: RepositoryPath }
  | BackendRefusal
  | { readonly kind: 'push-not-granted'; readonly repository: RepositoryPath; readonly username: string }
  | { readonly kind: 'creation-refused'; readonly reason: string }
  | { readonly kind: 'command-not-served' }
  | { readonly kind: 'head' }
  | { readonly kind: 'path-malformed'; readonly reason: string }
  | { readonly kind: 'lfs-not-served' }
  | { readonly kind: 'content-type-wrong'; readonly expected: string }
  | { readonly kind: 'content-encoding-unknown' }
  | { readonly kind: 'transfer-coding-unknown' }
  | { readonly kind: 'body-malformed' }
  /** The commands of a push break Git's grammar. */
  | { readonly kind: 'push-malformed'; readonly reason: string }
  /** The commands of a push came too slowly. */
  | { readonly kind: 'push-late' }
  /** The commands of the account's pushes take too much memory. */
  | { readonly kind: 'push-heads-full' }
  /** A push from a client without report-status, so that the reason goes into the response's body. */
  | { readonly kind: 'push-refused'; readonly reason: string }
  | { readonly kind: 'backend-failed'; readonly requestId: string }
  | { readonly kind: 'backend-silent'; readonly requestId: string }
  /** The request came back to the gate: its upstream is the gate itself. */
  | { readonly kind: 'loop' }

/** What a service does to a repository. */
export type Ability = 'read' | 'write'

/** A refusal as HTTP carries it. The text is what git prints as `remote: …`. */
export type RefusalAnswer = {
  readonly status: number
  readonly text: string
  /** Whether to send `WWW-Authenticate`, which makes clients ask for credentials. Every 401 has it (RFC 9110, 15.5.2). */
  readonly challenge: boolean
  /** @default plain text */
  readonly contentType?: string
  /** Seconds after which the client can retry. */
  readonly retryAfter?: number
}

/** The page that creates tokens, at GitLab's path. */
export const TOKENS_PAGE = '/-/user_settings/personal_access_tokens'

/**
 * The status and the text of a refusal: GitLab's short strings, on which clients match, then the rule and the remedy
 * (statuses: GitLab's Git over HTTP).
 *
 * @param baseUrl where people reach this gate, without a slash at its end
 */
export function describeRefusal(refusal: Refusal, baseUrl: string): RefusalAnswer {
  switch (refusal.kind) {
    case 'credentials-missing':
      return challenge(
        `HTTP Basic: Access denied\nSign in with a personal access token as the password. You can generate one at ${baseUrl}${TOKENS_PAGE}`,
      )
    case 'credentials-wrong':
      return challenge('HTTP Basic: Access denied\nThe password or token is wrong, or the account is blocked.')
    case 'token-over':
      return challenge(
        `HTTP Basic: Access denied\nThe token "${refusal.token}" ${refusal.state === 'expired' ? 'expired' : 'was revoked'} on ${refusal.on}. You can generate a new one at ${baseUrl}${TOKENS_PAGE}`,
      )
    case 'credentials-malformed':
      return challenge(
        `HTTP Basic: Access denied\nThe Authorization header is malformed: ${refusal.reason}. Basic takes the Base64 of username:password.`,
      )
    case 'credentials-repeated':
      return plain(
        400,
        'This request has two Authorization headers. Remove one of them: Git sends its own, so look for http.extraHeader in its configuration.',
      )
    case 'token-mistyped':
      return challenge('HTTP Basic: Access denied\nThe token is mistyped or incomplete: its checksum is wrong.')
    case 'token-misplaced':
      return challenge('HTTP Basic: Access denied\nThe username is a token. Use the token as the password instead.')
    case 'token-required':
      return challenge(
        `HTTP Basic: Access denied\nYou must use a personal access token with 'read_repository' or 'write_repository' scope for Git over HTTP.\nYou can generate one at ${baseUrl}${TOKENS_PAGE}`,
      )
    case 'tokens-off':
      return challenge('HTTP Basic: Access denied\nPersonal access tokens are disabled on this server.')
    case 'banned':
      return plain(403, 'Too many failed authentication attempts from this IP')
    case 'busy':
      return { ...plain(429, 'Retry later\n'), retryAfter: 5 }
    case 'overloaded':
      return {
        ...plain(
          503,
          'Too many Git requests are running and waiting on this server. Nothing was done; try again in a minute.',
        ),
        retryAfter: 60,
      }
    case 'repositories-unavailable':
      return {
        ...plain(
          503,
          "The repositories can't be reached right now. Try again later; administrators can see why at /-/readiness.",
        ),
        retryAfter: 60,
      }
    case 'scope-too-small':
      return plain(403, describeScope(refusal.ability, refusal.token, refusal.scopes))
    case 'repository-not-found':
      return plain(
        404,
        `${NOT_FOUND}\nYou are signed in as ${refusal.username}. An administrator can give you access with: gitgate access grant ${refusal.username} read ${refusal.repository}${refusal.limited ? '\nYour token is limited to certain repositories; another token may have access.' : ''}`,
      )
    case 'repository-missing':
      return plain(404, `${NOT_FOUND}\n${missingAdvice(refusal.repository, refusal.mayCreate)}`)
    case 'upstream-missing':
      return plain(
        404,
        `${NOT_FOUND}\nThe Git server behind this gate has neither ${refusal.repository}.git nor ${refusal.repository}.`,
      )
    case 'upstream-refused':
      return {
        ...plain(
          refusal.status,
          `The Git server behind this gate refused this request${refusal.text === '' ? ` with status ${refusal.status}.` : `:\n${refusal.text}`}`,
        ),
        ...(refusal.retryAfter === undefined ? {} : { retryAfter: refusal.retryAfter }),
      }
    case 'upstream-moved':
      return plain(
        502,
        `The Git server behind this gate says that the repository is now at ${refusal.location}\ngitgate doesn't follow redirects, because another name may have other access rights. Use the new name.`,
      )
    case 'push-not-granted':
      return plain(
        403,
        `You are not allowed to push code to this project.\nYou are signed in as ${refusal.username}. An administrator can allow it with: gitgate access grant ${refusal.username} write ${refusal.repository}`,
      )
    case 'creation-refused':
      return plain(422, `Could not create project: ${refusal.reason}`)
    case 'command-not-served':
      return plain(
        403,
        "The command you're trying to execute is not allowed.\nOnly Git's smart HTTP protocol is served here.",
      )
    case 'head':
      return plain(403, '')
    case 'path-malformed':
      return plain(400, `This is not a repository URL: ${refusal.reason}.`)
    case 'lfs-not-served':
      // Git LFS takes 501 as "no locking here" and continues the push (Git LFS: locking API).
      return {
        ...plain(501, JSON.stringify({ message: 'Git LFS is not enabled on this server, contact your admin.' })),
        contentType: 'application/vnd.git-lfs+json',
      }
    case 'content-type-wrong':
      return plain(415, `This request needs the Content-Type ${refusal.expected}`)
    case 'content-encoding-unknown':
      return plain(415, 'The only Content-Encoding supported in requests is gzip')
    case 'transfer-coding-unknown':
      return plain(501, 'The only Transfer-Encoding supported in requests is chunked')
    case 'body-malformed':
      return plain(400, 'The body of this request does not follow the Git protocol (pkt-line).')
    case 'push-malformed':
      return plain(400, `The commands of this push do not follow the Git protocol: ${refusal.reason}.`)
    case 'push-late':
      return plain(408, 'The commands of this push arrived too slowly. Nothing was changed.')
    case 'push-heads-full':
      return {
        ...plain(503, 'Your account is pushing too many refs at once. Try again when its other pushes have ended.'),
        retryAfter: 60,
      }
    case 'push-refused':
      return plain(403, `You are not allowed to push this: ${refusal.reason}.`)
    case 'backend-failed':
      return plain(
        502,
        `The Git server did not answer this request. The gate's log has the reason, under request ID ${refusal.requestId}.`,
      )
    case 'backend-silent':
      return plain(
        504,
        `The Git server took too long to answer. The gate's log has more, under request ID ${refusal.requestId}.`,
      )
    case 'loop':
      return plain(508, 'This gate is its own upstream: --upstream must name the Git server behind it.')
  }
}

const NOT_FOUND = "The project you were looking for could not be found or you don't have permission to view it."

function missingAdvice(repository: RepositoryPath, mayCreate: boolean): string {
  const advice = mayCreate
    ? 'The first push creates it.'
    : `An administrator can create it with: gitgate repo create ${repository}`
  return `There is no repository ${repository} here. ${advice}`
}

function describeScope(ability: Ability, token: string, scopes: readonly Scope[]): string {
  const [sentence, action, needed] =
    ability === 'read'
      ? ['You are not allowed to download code.', 'reading', 'read_repository or write_repository']
      : ['You are not allowed to upload code.', 'pushing', 'write_repository']
  return `${sentence}\nThe token "${token}" has ${scopes.length > 1 ? 'the scopes' : 'the scope'} ${scopes.join(', ')}; ${action} needs ${needed}.`
}

function challenge(text: string): RefusalAnswer {
  return { status: 401, text, challenge: true }
}

function plain(status: number, text: string): RefusalAnswer {
  return { status, text, challenge: false }
}
