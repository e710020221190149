import type { Front, HttpExchange } from '../../core/http.js'
import { sendText } from '../../core/http.js'
import { parseGitRequest } from '../../protocol/git-request.js'
import type { SmartHttpOptions } from './answers.js'
import { identify, refuse } from './answers.js'
import { serveGit } from './serve-git.js'
import { GitTrail } from './trail.js'

/** Git over HTTP: parse, authenticate, decide, serve. */
export function smartHttp(options: SmartHttpOptions): Front {
  return async (exchange) => {
    if (exchange.request.headers.via?.includes(options.pseudonym) === true) {
      refuse({ kind: 'loop' }, exchange, options)
      return
    }
    const parsed = parseGitRequest(exchange.request.method ?? '', exchange.target)
    switch (parsed.kind) {
      case 'git':
        return serveGit(parsed.request, exchange, options)
      case 'unserved':
        return refuseUnserved(exchange, options)
      case 'redirect':
        return sendText(exchange.response, 301, '', { Location: parsed.location })
      case 'head':
        return refuse({ kind: 'head' }, exchange, options)
      case 'malformed':
        return refuse({ kind: 'path-malformed', reason: parsed.reason }, exchange, options)
      case 'suffix-missing':
        return refuse({ kind: 'suffix-missing' }, exchange, options)
      case 'other':
        return sendText(exchange.response, 404, 'Not Found')
    }
  }
}

/** Everything else under a repository: GitLab asks who it is, and then says that this is not served. */
async function refuseUnserved(exchange: HttpExchange, options: SmartHttpOptions): Promise<void> {
  const trail = new GitTrail(undefined, exchange, options.audit, () => options.access.now())
  const identified = await identify(exchange, options, trail)
  if (identified === undefined) return
  const kind = identified.identity.kind === 'anonymous' ? 'credentials-missing' : 'command-not-served'
  refuse({ kind }, exchange, options)
}
