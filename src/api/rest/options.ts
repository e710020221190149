import type { Access } from '../../access/access.js'
import type { GrantStore } from '../../access/grant.js'
import type { ProtectionStore } from '../../access/protection.js'
import type { AccountStore } from '../../accounts/account.js'
import type { Passwords } from '../../accounts/password.js'
import type { SettingStore } from '../../policies/settings.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { TokenStore } from '../../tokens/token.js'

/** What the API is made of. */
export type ApiOptions = {
  readonly access: Access
  readonly accounts: AccountStore
  readonly tokens: TokenStore
  readonly grants: GrantStore
  readonly protections: ProtectionStore
  readonly settings: SettingStore
  readonly passwords: Passwords
  /** The repositories that are there; none where another server keeps them. */
  readonly listRepositories: () => readonly RepositoryPath[]
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** gitgate's own version. */
  readonly version: string
  /** Told of what went wrong on our side. */
  readonly onError: (error: unknown) => void
}
