/** Who is signed in with a browser. */
export const sessions = {
  version: 4,
  sqlite: `
    CREATE TABLE sessions (
      id integer PRIMARY KEY AUTOINCREMENT,
      account_id integer NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
      digest text NOT NULL UNIQUE,
      created_at integer NOT NULL,
      last_seen_at integer NOT NULL,
      ip text NOT NULL,
      user_agent text,
      signed_in_by text CHECK (signed_in_by IN ('password', 'totp', 'recovery-code')),
      sealed_memo text
    );
    CREATE INDEX sessions_account ON sessions (account_id);
  `,
} as const
