/** Tokens limited to repositories, refs and budgets, or derived from others; refs that are protected for everybody. */
export const restrictions = {
  version: 2,
  sqlite: `
    ALTER TABLE personal_access_tokens ADD COLUMN repositories text NOT NULL DEFAULT '[]';
    ALTER TABLE personal_access_tokens ADD COLUMN refs text NOT NULL DEFAULT '[]';
    ALTER TABLE personal_access_tokens ADD COLUMN within_limits text;
    ALTER TABLE personal_access_tokens ADD COLUMN max_pushes integer;
    ALTER TABLE personal_access_tokens ADD COLUMN max_push_bytes integer;
    ALTER TABLE personal_access_tokens ADD COLUMN pushes integer NOT NULL DEFAULT 0;
    ALTER TABLE personal_access_tokens ADD COLUMN push_bytes integer NOT NULL DEFAULT 0;
    ALTER TABLE personal_access_tokens ADD COLUMN parent_id integer
      REFERENCES personal_access_tokens (id) ON DELETE CASCADE;
    CREATE INDEX personal_access_tokens_parent ON personal_access_tokens (parent_id);

    ALTER TABLE settings ADD COLUMN set_at integer;

    CREATE TABLE protected_refs (
      id integer PRIMARY KEY AUTOINCREMENT,
      repository_pattern text NOT NULL,
      ref_pattern text NOT NULL,
      push text NOT NULL CHECK (push IN ('write', 'admin', 'nobody')),
      force text NOT NULL CHECK (force IN ('write', 'admin', 'nobody')),
      "delete" text NOT NULL CHECK ("delete" IN ('write', 'admin', 'nobody')),
      created_at integer NOT NULL,
      UNIQUE (repository_pattern, ref_pattern)
    );
  `,
} as const
