/** The audit trail, notices to owners on their way, webhooks, and when jobs ran. */
export const trail = {
  version: 3,
  sqlite: `
    CREATE TABLE audit_events (
      id integer PRIMARY KEY,
      at integer NOT NULL,
      action text NOT NULL,
      decision text NOT NULL,
      rule text,
      via text NOT NULL,
      operator text,
      account_id integer,
      username text,
      token_id integer,
      impersonator text,
      ip text,
      user_agent text,
      request_id text,
      repository text,
      service text,
      refs text,
      bytes_in integer,
      bytes_out integer,
      target text,
      details text,
      hash text NOT NULL
    );
    -- Each index costs every request microseconds; to read a million rows through takes a tenth of a second.
    CREATE INDEX audit_events_token ON audit_events (token_id) WHERE token_id IS NOT NULL;
    CREATE INDEX audit_events_target ON audit_events (target) WHERE target IS NOT NULL;

    ALTER TABLE accounts ADD COLUMN notices_off text NOT NULL DEFAULT '[]';

    ALTER TABLE personal_access_tokens ADD COLUMN issued_by text;
    ALTER TABLE personal_access_tokens ADD COLUMN expiring_noticed_at integer;
    ALTER TABLE personal_access_tokens ADD COLUMN expired_noticed_at integer;
    ALTER TABLE personal_access_tokens ADD COLUMN address_noticed_at integer;

    CREATE TABLE token_addresses (
      token_id integer NOT NULL REFERENCES personal_access_tokens (id) ON DELETE CASCADE,
      ip text NOT NULL,
      first_used_at integer NOT NULL,
      PRIMARY KEY (token_id, ip)
    ) WITHOUT ROWID;
    -- Addresses that are known already are no news.
    INSERT INTO token_addresses (token_id, ip, first_used_at)
      SELECT DISTINCT tokens.id, ips.value, coalesce(tokens.last_used_at, tokens.created_at)
      FROM personal_access_tokens AS tokens, json_each(tokens.last_used_ips) AS ips;

    CREATE TABLE webhooks (
      id integer PRIMARY KEY AUTOINCREMENT,
      account_id integer REFERENCES accounts (id) ON DELETE CASCADE,
      url text NOT NULL,
      sealed_secret text NOT NULL,
      created_at integer NOT NULL
    );

    CREATE TABLE notices (
      id integer PRIMARY KEY AUTOINCREMENT,
      kind text NOT NULL,
      account_id integer NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
      token_id integer,
      facts text NOT NULL,
      created_at integer NOT NULL
    );
    CREATE INDEX notices_account ON notices (account_id);
    CREATE INDEX notices_token ON notices (token_id);

    CREATE TABLE deliveries (
      id integer PRIMARY KEY AUTOINCREMENT,
      notice_id integer NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
      webhook_id integer REFERENCES webhooks (id) ON DELETE CASCADE,
      due_at integer NOT NULL,
      attempts integer NOT NULL DEFAULT 0,
      tried_at integer,
      leased_until integer,
      last_error text
    );
    CREATE INDEX deliveries_due ON deliveries (due_at);
    CREATE INDEX deliveries_notice ON deliveries (notice_id);

    CREATE TABLE job_runs (
      name text PRIMARY KEY,
      done_at integer,
      tried_at integer NOT NULL,
      outcome text NOT NULL
    ) WITHOUT ROWID;
  `,
} as const
