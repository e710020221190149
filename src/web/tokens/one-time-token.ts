import { AccessibleRepositories } from '../../domain/access/accessible-repositories.js'
import type { Account } from '../../domain/accounts/account.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { reaches } from '../../domain/tokens/restriction.js'
import { scopesAllow } from '../../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { takeOneTimeDisplay } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Member } from '../principal.js'

/** The one-time display of a new token of one's own. */
export const NEW_TOKEN = 'token'

/** What is kept for the page that shows a new token once. */
export type NewToken = {
  readonly id: number
  readonly secret: string
  /** If it replaced a token: when that one stops working, in milliseconds. */
  readonly replaced?: { readonly endsAt: number }
}

/** Takes the token that was just created, if any, to show it once. @param display the name of the one-time display */
export async function takeNewToken(visit: Member, display: string, owner: Account, options: PageOptions) {
  const created = await takeOneTimeDisplay<NewToken>(visit, display, options.access.now())
  const token = created && (await options.tokens.find(created.id))
  return created && token && newTokenView(token, created, owner, options)
}

// The commands to paste don't contain the secret.
async function newTokenView(
  token: PersonalAccessToken,
  created: NewToken,
  owner: Account,
  { access, listRepositories, baseUrl }: Pick<PageOptions, 'access' | 'listRepositories' | 'baseUrl'>,
) {
  const url = new URL(baseUrl())
  const { enforce_pat_expiration: enforceExpiry } = await access.settings()
  const isForGit = scopesAllow(token.scopes, 'read')
  const { grants } = await access.accessOf(owner)
  const accessible = new AccessibleRepositories(await listRepositories(), grants)
  await accessible.prepare(token.restrictions)
  const [first] = accessible.list(owner.username, token.restrictions)
  const example: RepositoryPath | undefined = first?.path
  const literal = token.restrictions.repositories.find((pattern) => !pattern.includes('*'))
  const repository =
    example ?? (literal !== undefined && reaches(token.restrictions, literal as RepositoryPath) ? literal : undefined)
  const withUser = `${url.protocol}//${owner.username}@${url.host}${url.pathname.replace(/\/$/, '')}`
  return {
    token,
    enforceExpiry,
    secret: created.secret,
    endsAt: created.replaced === undefined ? undefined : new Date(created.replaced.endsAt),
    clone: isForGit ? `git clone ${withUser}/${repository ?? 'GROUP/NAME'}.git` : undefined,
    isExample: repository === undefined,
    helper: `git config --global credential.${url.origin}.helper`,
    approve: `read -rs TOKEN && printf 'protocol=%s\\nhost=%s\\nusername=%s\\npassword=%s\\n\\n' ${url.protocol.slice(0, -1)} ${url.host} ${owner.username} "$TOKEN" | git credential approve`,
    curl: token.scopes.some((scope) => scope === 'api' || scope === 'read_api')
      ? `curl --header "PRIVATE-TOKEN: $TOKEN" ${url.origin}${url.pathname.replace(/\/$/, '')}/api/v4/personal_access_tokens/self`
      : undefined,
  }
}
