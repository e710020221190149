/** Tokens limited to repositories and refs, and refs that are protected for everybody. */
export const restrictions = {
  version: 2,
  sqlite: `
    ALTER TABLE personal_access_tokens ADD COLUMN repositories text NOT NULL DEFAULT '[]';
    ALTER TABLE personal_access_tokens ADD COLUMN refs text NOT NULL DEFAULT '[]';

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
