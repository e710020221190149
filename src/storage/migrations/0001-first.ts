/** Accounts, second factors, tokens, grants, settings, and the security epoch. */
export const first = {
  version: 1,
  sqlite: `
    CREATE TABLE accounts (
      id integer PRIMARY KEY AUTOINCREMENT,
      username text NOT NULL,
      name text NOT NULL,
      email text,
      email_key text,
      admin integer NOT NULL DEFAULT 0,
      state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked')),
      password_hash text,
      created_at integer NOT NULL
    );
    CREATE UNIQUE INDEX accounts_username ON accounts (lower(username));
    CREATE UNIQUE INDEX accounts_email ON accounts (email_key);

    CREATE TABLE two_factors (
      account_id integer PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
      sealed_seed text NOT NULL,
      last_step integer,
      enabled_at integer NOT NULL
    );

    CREATE TABLE recovery_codes (
      id integer PRIMARY KEY AUTOINCREMENT,
      account_id integer NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
      hash text NOT NULL
    );
    CREATE INDEX recovery_codes_account ON recovery_codes (account_id);

    CREATE TABLE personal_access_tokens (
      id integer PRIMARY KEY AUTOINCREMENT,
      user_id integer NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
      name text NOT NULL,
      description text,
      scopes text NOT NULL,
      token_digest text NOT NULL UNIQUE,
      created_at integer NOT NULL,
      expires_at integer,
      revoked_at integer,
      impersonation integer NOT NULL DEFAULT 0,
      last_used_at integer,
      last_used_ips text NOT NULL DEFAULT '[]',
      previous_personal_access_token_id integer REFERENCES personal_access_tokens (id) ON DELETE SET NULL
    );
    CREATE INDEX personal_access_tokens_user ON personal_access_tokens (user_id);
    CREATE INDEX personal_access_tokens_previous ON personal_access_tokens (previous_personal_access_token_id);

    CREATE TABLE grants (
      id integer PRIMARY KEY AUTOINCREMENT,
      subject text NOT NULL,
      role text NOT NULL CHECK (role IN ('read', 'write', 'admin')),
      pattern text NOT NULL,
      created_at integer NOT NULL,
      UNIQUE (subject, pattern)
    );

    CREATE TABLE settings (key text PRIMARY KEY, value text NOT NULL) WITHOUT ROWID;

    CREATE TABLE instance_facts (key text PRIMARY KEY, value text NOT NULL) WITHOUT ROWID;
    INSERT INTO instance_facts (key, value) VALUES ('security_epoch', '1');
  `,
} as const
