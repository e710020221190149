import { TOKENS_PAGE } from '../access/refusal.js'
import type { Front } from '../http.js'
import { sendText } from '../http.js'

/** GitLab's older addresses of the tokens page. */
export const OLD_TOKENS_PAGES = ['/profile/personal_access_tokens', '/-/profile/personal_access_tokens']

/** The way in, for those who open the gate's address in a browser. */
export function welcome(baseUrl: () => string): Front {
  return ({ response }) =>
    sendText(
      response,
      200,
      `This is gitgate, which lets Git in with personal access tokens.

Clone with any username and a token as the password:

    git clone ${baseUrl()}/GROUP/NAME.git

Where tokens come from: ${baseUrl()}${TOKENS_PAGE}
`,
    )
}

/** Where tokens come from: what a refusal refers to. */
export const tokensPage: Front = ({ response }) =>
  sendText(
    response,
    200,
    `Personal access tokens of this gate are made on its command line. Ask whoever runs it for:

    gitgate token create USERNAME --name NAME --scopes read_repository     to clone and fetch
    gitgate token create USERNAME --name NAME --scopes write_repository    to push, too

The token is shown once. Give it to Git as the password; the username can be anything.
`,
  )

/** Sends older addresses of the tokens page to today's. */
export const oldTokensPage: Front = ({ response }) => sendText(response, 301, '', { Location: TOKENS_PAGE })
