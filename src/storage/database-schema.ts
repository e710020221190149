import type { Generated } from 'kysely'

/** The tables, as Kysely sees them. Instants are milliseconds since 1970 UTC; lists are JSON. */
export type Schema = {
  readonly accounts: {
    id: Generated<number>
    username: string
    name: string
    email: string | null
    /** The address in lower case: SQLite's own lower() knows ASCII only. */
    email_key: string | null
    admin: 0 | 1
    state: 'active' | 'blocked'
    password_hash: string | null
    created_at: number
    /** The kinds of notifications that it does not want. */
    notices_off: Generated<string>
  }
  readonly two_factors: {
    account_id: number
    sealed_seed: string
    last_step: number | null
    enabled_at: number
  }
  readonly recovery_codes: {
    id: Generated<number>
    account_id: number
    hash: string
  }
  readonly sessions: {
    id: Generated<number>
    account_id: number
    digest: string
    created_at: number
    last_seen_at: number
    ip: string
    user_agent: string | null
    signed_in_by: 'password' | 'totp' | 'recovery-code' | null
    sealed_memo: string | null
  }
  readonly personal_access_tokens: {
    id: Generated<number>
    user_id: number
    name: string
    description: string | null
    scopes: string
    repositories: string
    refs: string
    within_limits: string | null
    max_pushes: number | null
    max_push_bytes: number | null
    pushes: Generated<number>
    push_bytes: Generated<number>
    parent_id: number | null
    token_digest: string
    created_at: number
    expires_at: number | null
    revoked_at: number | null
    impersonation: 0 | 1
    last_used_at: number | null
    last_used_ips: string
    previous_personal_access_token_id: number | null
    /** Who made it: an account, or a user of the operating system. */
    issued_by: string | null
    expiring_noticed_at: Generated<number | null>
    expired_noticed_at: Generated<number | null>
    /** When the last notification of a new address is, or was, due. */
    address_noticed_at: Generated<number | null>
  }
  /** Every address that a token was used from. */
  readonly token_addresses: {
    token_id: number
    ip: string
    first_used_at: number
  }
  readonly grants: {
    id: Generated<number>
    subject: string
    role: 'read' | 'write' | 'admin'
    pattern: string
    created_at: number
  }
  readonly protected_refs: {
    id: Generated<number>
    repository_pattern: string
    ref_pattern: string
    push: 'write' | 'admin' | 'nobody'
    force: 'write' | 'admin' | 'nobody'
    delete: 'write' | 'admin' | 'nobody'
    created_at: number
  }
  readonly settings: {
    key: string
    value: string
    set_at: number | null
  }
  /** What one instance notes about itself: the security epoch, the root of the embedded server. */
  readonly instance_facts: {
    key: string
    value: string
  }
  readonly audit_events: {
    id: number
    at: number
    action: string
    decision: string
    rule: string | null
    via: string
    operator: string | null
    account_id: number | null
    username: string | null
    token_id: number | null
    impersonator: string | null
    ip: string | null
    user_agent: string | null
    request_id: string | null
    repository: string | null
    service: string | null
    refs: string | null
    bytes_in: number | null
    bytes_out: number | null
    target: string | null
    details: string | null
    hash: string
  }
  /** The repositories that tokens were used with. A trigger on `audit_events` adds to it. */
  readonly token_uses: {
    token_id: number
    repository: string
    fetched_at: number | null
    pushed_at: number | null
  }
  /** Which accounts the rows of `audit_events` are about, by blocks of rows. Triggers on it add to it. */
  readonly audit_names: {
    block: number
    name: string
  }
  /** What pruned events said that is still true, by the keys of `recorded-facts.ts`. */
  readonly audit_carried: {
    key: string
    value: string
  }
  readonly webhooks: {
    id: Generated<number>
    /** Whose notifications it is sent; `null`: everybody's. */
    account_id: number | null
    url: string
    sealed_secret: string
    created_at: number
  }
  readonly notices: {
    id: Generated<number>
    kind: string
    account_id: number
    /** The token that a notification of new addresses is about, so that more can be added to it. */
    token_id: number | null
    facts: string
    created_at: number
  }
  /** A notification on one channel; deleted once it was accepted. */
  readonly deliveries: {
    id: Generated<number>
    notice_id: number
    /** The webhook that it goes to; `null`: by mail. */
    webhook_id: number | null
    due_at: number
    attempts: Generated<number>
    /** When it failed last. */
    tried_at: Generated<number | null>
    leased_until: Generated<number | null>
    last_error: Generated<string | null>
  }
  readonly job_runs: {
    name: string
    /** The last run that was done. */
    done_at: number | null
    /** The last run, done or not, and what became of it. */
    tried_at: number
    outcome: string
  }
}
