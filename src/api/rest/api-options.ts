import type { Access } from '../../domain/access/access.js'
import type { GrantStore } from '../../domain/access/grant.js'
import type { ProtectionStore } from '../../domain/access/protection.js'
import type { AccountStore } from '../../domain/accounts/account.js'
import type { Passwords } from '../../domain/accounts/password.js'
import type { AuditRecorder } from '../../domain/audit/recorder.js'
import type { AuditStore } from '../../domain/audit/audit-log.js'
import type { SettingStore } from '../../domain/policies/settings.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { TokenStore } from '../../domain/tokens/store.js'

/** What the API depends on. */
export type ApiOptions = {
  readonly access: Access
  readonly accounts: AccountStore
  readonly tokens: TokenStore
  readonly grants: GrantStore
  readonly protections: ProtectionStore
  readonly settings: SettingStore
  readonly audit: AuditStore
  /** Records refused credentials in the audit log. */
  readonly recorder: Pick<AuditRecorder, 'noteRefusal'>
  readonly passwords: Passwords
  /** Lists the repositories; none with an upstream. */
  readonly listRepositories: () => Promise<readonly RepositoryPath[]>
  /** The public URL, without a trailing slash. */
  readonly baseUrl: () => string
  /** gitgate's own version. */
  readonly version: string
  /** Called with unexpected errors. */
  readonly onError: (error: unknown) => void
}
