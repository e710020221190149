import t from 'tap'
import type { Refusal } from '../../../src/domain/access/refusal.js'
import { TOKENS_PAGE, describeRefusal } from '../../../src/domain/access/refusal.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'

const REPOSITORY = parseRepositoryPath('team/app')!
const BASE = 'https://git.example'

const TOKEN_REQUIRED = new RegExp(
  `^HTTP Basic: Access denied
You must use a personal access token with 'read_repository' or 'write_repository' scope for Git over HTTP\\.
You can generate one at ${BASE}${TOKENS_PAGE}$`,
)

/** Every refusal with its status, whether it challenges, and the words on which GitLab's clients match. */
const ANSWERS: readonly (readonly [Refusal, status: number, challenge: boolean, text: RegExp])[] = [
  [{ kind: 'credentials-missing' }, 401, true, /^HTTP Basic: Access denied\n/],
  [{ kind: 'credentials-wrong' }, 401, true, /^HTTP Basic: Access denied\n/],
  [
    { kind: 'token-over', token: 'ci', state: 'expired', on: '2026-12-01' },
    401,
    true,
    /^HTTP Basic: Access denied\nThe token "ci" expired on 2026-12-01\. You can generate a new one at /,
  ],
  [
    { kind: 'token-over', token: 'ci', state: 'revoked', on: '2026-12-01' },
    401,
    true,
    /^HTTP Basic: Access denied\nThe token "ci" was revoked on 2026-12-01\./,
  ],
  [{ kind: 'credentials-malformed', reason: 'it is odd' }, 401, true, /^HTTP Basic: Access denied\n.* it is odd\./],
  [{ kind: 'credentials-repeated' }, 400, false, /two Authorization headers/],
  [{ kind: 'token-mistyped' }, 401, true, /mistyped or incomplete/],
  [{ kind: 'token-misplaced' }, 401, true, /as the password/],
  [{ kind: 'token-required', reason: 'two-factor-enabled' }, 401, true, TOKEN_REQUIRED],
  [{ kind: 'token-required', reason: 'two-factor-required' }, 401, true, TOKEN_REQUIRED],
  [{ kind: 'token-required', reason: 'passwords-off' }, 401, true, TOKEN_REQUIRED],
  [{ kind: 'tokens-off' }, 401, true, /^HTTP Basic: Access denied\n/],
  [{ kind: 'banned' }, 403, false, /^Too many failed authentication attempts from this IP$/],
  [{ kind: 'busy' }, 429, false, /^Retry later\n$/],
  [{ kind: 'push-late' }, 408, false, /^The commands of this push arrived too slowly\. Nothing was changed\.$/],
  [{ kind: 'push-heads-full' }, 503, false, /^Your account is pushing too many refs at once\. Try again when /],
  [{ kind: 'repositories-unavailable' }, 503, false, /^The repositories can't be reached right now\. /],
  [{ kind: 'overloaded' }, 503, false, /^Too many Git requests are running and waiting .* try again in a minute\.$/],
  [
    { kind: 'scope-too-small', ability: 'read', token: 'ci', scopes: ['read_user'] },
    403,
    false,
    /^You are not allowed to download code\.\nThe token "ci" has the scope read_user; .*read_repository or write_repository/,
  ],
  [
    { kind: 'scope-too-small', ability: 'write', token: 'ci', scopes: ['read_api', 'read_repository'] },
    403,
    false,
    /^You are not allowed to upload code\.\nThe token "ci" has the scopes read_api, read_repository; .* write_repository\./,
  ],
  [
    { kind: 'repository-not-found', repository: REPOSITORY, username: 'alice', limited: true },
    404,
    false,
    /^The project .*\n.*grant alice read team\/app\nYour token is limited to certain repositories/,
  ],
  [
    { kind: 'repository-not-found', repository: REPOSITORY, username: 'alice', limited: false },
    404,
    false,
    /^The project you were looking for could not be found or you don't have permission to view it\.\n.*grant alice read team\/app$/,
  ],
  [
    { kind: 'repository-missing', repository: REPOSITORY, mayCreate: true },
    404,
    false,
    /^The project .*\nThere is no repository team\/app here\. The first push/,
  ],
  [
    { kind: 'repository-missing', repository: REPOSITORY, mayCreate: false },
    404,
    false,
    /gitgate repo create team\/app$/,
  ],
  [
    { kind: 'push-malformed', reason: 'a ref is named twice' },
    400,
    false,
    /^The commands of this push .*: a ref is named twice\.$/,
  ],
  [
    { kind: 'push-refused', reason: 'token "a" may not' },
    403,
    false,
    /^You are not allowed to push this: token "a" may not\.$/,
  ],
  [
    { kind: 'push-not-granted', repository: REPOSITORY, username: 'alice' },
    403,
    false,
    /^You are not allowed to push code to this project\.\n.*grant alice write team\/app$/,
  ],
  [{ kind: 'creation-refused', reason: 'it is reserved' }, 422, false, /^Could not create project: it is reserved$/],
  [{ kind: 'command-not-served' }, 403, false, /^The command you're trying to execute is not allowed\./],
  [{ kind: 'head' }, 403, false, /^$/],
  [{ kind: 'path-malformed', reason: 'it holds a %' }, 400, false, /it holds a %\.$/],
  [
    { kind: 'upstream-refused', status: 503, text: 'locked until noon', retryAfter: 60 },
    503,
    false,
    /refused this request:\nlocked until noon$/,
  ],
  [{ kind: 'upstream-refused', status: 403, text: '' }, 403, false, /with status 403\.$/],
  [{ kind: 'upstream-moved', location: 'https://x.example/a' }, 502, false, /is now at https:\/\/x\.example\/a\n/],
  [{ kind: 'lfs-not-served' }, 501, false, /^\{"message":"Git LFS is not enabled/],
  [{ kind: 'content-type-wrong', expected: 'application/x-git' }, 415, false, /application\/x-git$/],
  [{ kind: 'content-encoding-unknown' }, 415, false, /gzip/],
  [{ kind: 'transfer-coding-unknown' }, 501, false, /chunked/],
  [
    { kind: 'upstream-missing', repository: REPOSITORY },
    404,
    false,
    /^The project .*\nThe Git server behind this gate has neither team\/app\.git nor team\/app\.$/,
  ],
  [{ kind: 'body-malformed' }, 400, false, /pkt-line/],
  [{ kind: 'backend-failed', requestId: '0a1b' }, 502, false, /0a1b/],
  [{ kind: 'backend-silent', requestId: '0a1b' }, 504, false, /0a1b/],
  [{ kind: 'loop' }, 508, false, /--upstream/],
]

const RETRY_AFTER: Readonly<Record<string, number>> = {
  busy: 5,
  overloaded: 60,
  'repositories-unavailable': 60,
  'push-heads-full': 60,
}

t.test('every refusal has GitLab’s status and words, and challenges only where signing in would help', async (t) => {
  for (const [refusal, status, challenge, text] of ANSWERS) {
    const answer = describeRefusal(refusal, BASE)
    t.equal(answer.status, status, refusal.kind)
    t.equal(answer.challenge, challenge, refusal.kind)
    t.match(answer.text, text, refusal.kind)
    t.equal(
      answer.text,
      refusal.kind === 'busy' ? 'Retry later\n' : answer.text.trim(),
      'no line is left open or empty',
    )
    const retryAfter = refusal.kind === 'upstream-refused' ? refusal.retryAfter : RETRY_AFTER[refusal.kind]
    t.equal(answer.retryAfter, retryAfter, refusal.kind)
  }
})
