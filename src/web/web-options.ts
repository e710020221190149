import type { Access } from '../domain/access/access.js'
import type { GrantStore } from '../domain/access/grant.js'
import type { ProtectionStore } from '../domain/access/protection.js'
import type { SignIn } from '../domain/access/sign-in.js'
import type { AccountStore } from '../domain/accounts/account.js'
import type { Passwords } from '../domain/accounts/password.js'
import type { SessionStore } from '../domain/accounts/session.js'
import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import type { AuditRecorder } from '../domain/audit/recorder.js'
import type { AuditStore } from '../domain/audit/audit-log.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { TokenStore } from '../domain/tokens/store.js'
import type { Cookies } from './cookies.js'

/** What the pages depend on. */
export type WebOptions = {
  readonly accounts: AccountStore
  readonly sessions: SessionStore
  readonly twoFactors: TwoFactorStore
  readonly tokens: TokenStore
  readonly grants: GrantStore
  readonly protections: ProtectionStore
  readonly settings: SettingStore
  readonly access: Access
  readonly signIn: SignIn
  readonly audit: AuditStore
  /** Records refused credentials. */
  readonly recorder: Pick<AuditRecorder, 'noteRefusal'>
  readonly passwords: Passwords
  /** The repositories; none for an upstream, which can't list them. */
  readonly listRepositories: () => Promise<readonly RepositoryPath[]>
  /** The public URL of this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** Whether to send `Strict-Transport-Security` over HTTPS. */
  readonly hsts: boolean
  /** Whether notifications are mailed to accounts with an address. */
  readonly sendsMail: boolean
  /** The version of gitgate. */
  readonly version: string
  /** Called with each error that is ours. */
  readonly onError: (error: unknown) => void
}

/** What each page depends on. */
export type PageOptions = WebOptions & { readonly cookies: Cookies }
