import { TOKENS_PAGE } from '../domain/access/refusal.js'

/** The way in, for who asks the gate's address without a browser. */
export function welcome(baseUrl: string): string {
  return `This is gitgate, which lets Git in with personal access tokens.

Clone with any username and a token as the password:

    git clone ${baseUrl}/GROUP/NAME.git

Where tokens come from: ${baseUrl}${TOKENS_PAGE}
`
}

/** Where tokens come from: what a refusal refers to. */
export function tokensSignpost(baseUrl: string): string {
  return `Open ${baseUrl}${TOKENS_PAGE} in a browser to make a personal access token, or ask whoever runs this gate for one:

    gitgate token create USERNAME --name NAME --scopes read_repository     to clone and fetch
    gitgate token create USERNAME --name NAME --scopes write_repository    to push, too

The token is shown once. Give it to Git as the password; the username can be anything.
`
}
