import type { Handler, RequestContext } from '../../core/http.js'
import { millisecondsSince, sendText } from '../../core/http.js'
import type { Identity } from '../../domain/access/authenticate.js'
import { parseCredential } from '../../domain/access/authenticate.js'
import type { GitRequest } from '../../protocol/git-request.js'
import { parseGitRequest } from '../../protocol/git-request.js'
import type { GitHttpDependencies } from './authorized-request.js'
import { AuthorizedRequest, requestContentError } from './authorized-request.js'
import { GitAudit } from './git-audit.js'
import { refuse } from './git-response.js'
import { serveReceivePack } from './receive-pack.js'
import { serveUploadPack } from './upload-pack.js'

/** Git over HTTP: parse, authenticate, decide, serve. */
export function gitHandler(dependencies: GitHttpDependencies): Handler {
  return async (context) => {
    if (context.request.headers.via?.includes(dependencies.pseudonym) === true) {
      refuse({ kind: 'loop' }, context, dependencies)
      return
    }
    const parsed = parseGitRequest(context.request.method ?? '', context.target, dependencies.backend.names)
    switch (parsed.kind) {
      case 'git':
        return serveGit(parsed.request, context, dependencies)
      case 'unserved':
        return refuseUnserved(context, dependencies)
      case 'lfs':
        return refuse({ kind: 'lfs-not-served' }, context, dependencies)
      case 'head':
        return refuse({ kind: 'head' }, context, dependencies)
      case 'malformed':
        return refuse({ kind: 'path-malformed', reason: parsed.reason }, context, dependencies)
      case 'other':
        return sendText(context.response, 404, 'Not Found')
    }
  }
}

/** Serves a request of the smart protocol, if it is allowed. */
async function serveGit(
  request: GitRequest,
  context: RequestContext,
  dependencies: GitHttpDependencies,
): Promise<void> {
  context.record.service = request.service
  context.record.phase = request.phase
  const authorized = await authorize(request, context, dependencies)
  if (authorized === undefined) return
  // Its body may be held back for as long as the client likes, and a revocation in the meantime must take effect.
  const stopWatching = authorized.watch()
  try {
    if (request.phase === 'advertisement') await serveInfoRefs(authorized)
    else await serveRpc(authorized)
  } finally {
    stopWatching()
  }
}

/** Serves the advertisement. */
async function serveInfoRefs(authorized: AuthorizedRequest): Promise<void> {
  const { request, creates, dependencies } = authorized
  const { advertise, creation } = dependencies.backend
  await authorized.serve(creates && creation !== undefined ? creation.advertiseUnborn : advertise, request)
}

async function serveRpc(authorized: AuthorizedRequest): Promise<void> {
  const { request, context, dependencies } = authorized
  const refusal = requestContentError(context.request, request)
  if (refusal !== undefined) {
    refuse(refusal, context, dependencies)
    return
  }
  if (context.expectsContinue) context.response.writeContinue()
  if (request.service === 'git-upload-pack') await serveUploadPack(authorized)
  else await serveReceivePack(authorized)
}

/** Authenticates and decides. @returns `undefined` when the request was refused */
async function authorize(
  request: GitRequest,
  context: RequestContext,
  dependencies: GitHttpDependencies,
): Promise<AuthorizedRequest | undefined> {
  const { access, backend } = dependencies
  const audit = new GitAudit(request, context, dependencies.audit, () => access.now())
  const authenticated = await authenticate(context, dependencies, audit)
  if (authenticated === undefined) return undefined
  const { identity, epoch } = authenticated
  const { decision, isNameKnown } = await access.decide(request, identity, backend, epoch)
  if (isNameKnown) context.record.repository = request.repository
  context.record.rule = decision.rule
  if (decision.kind === 'refuse') {
    refuse(decision.refusal, context, dependencies)
    return undefined
  }
  const creates = decision.kind === 'create'
  return new AuthorizedRequest(request, { identity, creates, epoch }, context, dependencies, audit)
}

/** Who makes the request. @returns `undefined` when the request was refused */
async function authenticate(
  context: RequestContext,
  dependencies: GitHttpDependencies,
  audit: GitAudit,
): Promise<{ identity: Identity; epoch: number } | undefined> {
  const { headers, rawHeaders } = context.request
  if (rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'authorization').length > 1) {
    refuse({ kind: 'credentials-repeated' }, context, dependencies)
    return undefined
  }
  const started = performance.now()
  const credential = parseCredential(headers.authorization, headers['private-token']?.toString())
  const result = await dependencies.access.authenticate(credential, context.ip)
  context.record.auth_ms = millisecondsSince(started)
  if (result.kind === 'refused') {
    context.record.rule = result.rule
    audit.authenticationFailed(result.failedPrincipal)
    refuse(result.refusal, context, dependencies)
    return undefined
  }
  const { identity, epoch } = result
  audit.authenticated(identity)
  if (identity.kind !== 'anonymous') context.record.user = identity.account.username
  if (identity.kind === 'token') context.record.token_id = identity.token.id
  return { identity, epoch }
}

/** Everything else under a repository: like GitLab, authenticate first, and then say that this is not served. */
async function refuseUnserved(context: RequestContext, dependencies: GitHttpDependencies): Promise<void> {
  const audit = new GitAudit(undefined, context, dependencies.audit, () => dependencies.access.now())
  const authenticated = await authenticate(context, dependencies, audit)
  if (authenticated === undefined) return
  const kind = authenticated.identity.kind === 'anonymous' ? 'credentials-missing' : 'command-not-served'
  refuse({ kind }, context, dependencies)
}
