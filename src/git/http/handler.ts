import type { Handler, RequestContext } from '../../core/http.js'
import { sendText } from '../../core/http.js'
import { parseGitRequest } from '../../protocol/git-request.js'
import type { SmartHttpOptions } from './refusal-response.js'
import { identify, refuse } from './refusal-response.js'
import { serveGit } from './serve-git.js'
import { GitAudit } from './git-audit.js'

/** Git over HTTP: parse, authenticate, decide, serve. */
export function gitHandler(options: SmartHttpOptions): Handler {
  return async (context) => {
    if (context.request.headers.via?.includes(options.pseudonym) === true) {
      refuse({ kind: 'loop' }, context, options)
      return
    }
    const parsed = parseGitRequest(context.request.method ?? '', context.target)
    switch (parsed.kind) {
      case 'git':
        return serveGit(parsed.request, context, options)
      case 'unserved':
        return refuseUnserved(context, options)
      case 'redirect':
        return sendText(context.response, 301, '', { Location: parsed.location })
      case 'head':
        return refuse({ kind: 'head' }, context, options)
      case 'malformed':
        return refuse({ kind: 'path-malformed', reason: parsed.reason }, context, options)
      case 'suffix-missing':
        return refuse({ kind: 'suffix-missing' }, context, options)
      case 'other':
        return sendText(context.response, 404, 'Not Found')
    }
  }
}

/** Everything else under a repository: GitLab asks who it is, and then says that this is not served. */
async function refuseUnserved(context: RequestContext, options: SmartHttpOptions): Promise<void> {
  const audit = new GitAudit(undefined, context, options.audit, () => options.access.now())
  const identified = await identify(context, options, audit)
  if (identified === undefined) return
  const kind = identified.identity.kind === 'anonymous' ? 'credentials-missing' : 'command-not-served'
  refuse({ kind }, context, options)
}
