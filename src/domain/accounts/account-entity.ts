import type { Account } from './account.js'

/** An account as GitLab's API shows it to administrators: for every `--json`, and the API. */
export function accountEntity(account: Account) {
  return {
    id: account.id,
    username: account.username,
    name: account.name,
    email: account.email,
    state: account.state,
    is_admin: account.admin,
    two_factor_enabled: account.twoFactorEnabled,
    created_at: account.createdAt.toISOString(),
  }
}
