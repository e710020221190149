import { TOKENS_PAGE } from '../domain/access/refusal.js'
import type { Handler, RequestContext } from '../core/http.js'
import { sendText } from '../core/http.js'
import { ASSETS } from './asset-paths.js'
import { tokensHint, rootHint } from './plain-text-hints.js'

/** GitLab's older addresses of the tokens page. */
const OLD_TOKENS_PAGES = ['/profile/personal_access_tokens', '/-/profile/personal_access_tokens']

/**
 * The pages, for whoever takes HTML. Everybody else (git, curl, a script) gets the way in as plain text, and of all other
 * addresses that there is nothing.
 *
 * @param pages answers browsers
 */
export function webHandler(pages: Handler, baseUrl: () => string): Handler {
  return (context) => {
    if (OLD_TOKENS_PAGES.includes(pathOf(context)))
      return sendText(context.response, 301, '', { Location: TOKENS_PAGE })
    return isForBrowser(context) ? pages(context) : answerInText(context, baseUrl)
  }
}

function isForBrowser({ request, target }: RequestContext): boolean {
  return target.startsWith(ASSETS) || /\btext\/html\b/i.test(request.headers.accept ?? '')
}

function pathOf({ target }: RequestContext): string {
  return target.split('?', 1)[0] ?? ''
}

function answerInText(context: RequestContext, baseUrl: () => string): void {
  const { response } = context
  const path = pathOf(context)
  if (path === '/') sendText(response, 200, rootHint(baseUrl()))
  else if (path === TOKENS_PAGE) sendText(response, 200, tokensHint(baseUrl()))
  else sendText(response, 404, 'Not Found')
}
