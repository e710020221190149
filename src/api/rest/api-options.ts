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
  /** Records refused credentials. */
  readonly recorder: Pick<AuditRecorder, 'noteRefusal'>
  readonly passwords: Passwords
  /** The repositories that are there; none where another server keeps them. */
  readonly listRepositories: () => Promise<readonly RepositoryPath[]>
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** gitgate's own version. */
  readonly version: string
  /** Told of what went wrong on our side. */
  readonly onError: (error: unknown) => void
}
