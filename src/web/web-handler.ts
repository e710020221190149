import { TOKENS_PAGE } from '../domain/access/refusal.js'
import type { Handler, RequestContext } from '../core/http.js'
import { sendText } from '../core/http.js'
import { ASSETS } from './assets.js'

/** GitLab's older addresses of the tokens page. */
const OLD_TOKENS_PAGES = ['/profile/personal_access_tokens', '/-/profile/personal_access_tokens']

/**
 * Serves pages to clients that accept HTML. Others (git, curl, scripts) get plain text at `/` and at the tokens page, and 404
 * elsewhere.
 *
 * @param pages serves browsers
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

/** The plain text at `/`. */
function rootHint(baseUrl: string): string {
  return `This is gitgate: Git over HTTP with personal access tokens.

To clone, use any username and a token as the password:

    git clone ${baseUrl}/GROUP/NAME.git

Create a token: ${baseUrl}${TOKENS_PAGE}
`
}

/** The plain text at the tokens page, which refusals name: how to get a token. */
function tokensHint(baseUrl: string): string {
  return `To create a personal access token, open ${baseUrl}${TOKENS_PAGE} in a browser, or ask an administrator to run:

    gitgate token create USERNAME --name NAME --scopes read_repository     to clone and fetch
    gitgate token create USERNAME --name NAME --scopes write_repository    to push as well

The token is shown once. Use it as the password in Git; the username can be anything.
`
}
