import { TOKENS_PAGE } from '../domain/access/refusal.js'

/** What a client that is not a browser gets at `/`. */
export function rootHint(baseUrl: string): string {
  return `This is gitgate: Git over HTTP with personal access tokens.

To clone, use any username and a token as the password:

    git clone ${baseUrl}/GROUP/NAME.git

Create a token: ${baseUrl}${TOKENS_PAGE}
`
}

/** How to get a token: what a client that is not a browser gets at the address that refusals name. */
export function tokensHint(baseUrl: string): string {
  return `To create a personal access token, open ${baseUrl}${TOKENS_PAGE} in a browser, or ask an administrator to run:

    gitgate token create USERNAME --name NAME --scopes read_repository     to clone and fetch
    gitgate token create USERNAME --name NAME --scopes write_repository    to push as well

The token is shown once. Use it as the password in Git; the username can be anything.
`
}
