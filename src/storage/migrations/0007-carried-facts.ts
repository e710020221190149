/** What audit events said that were pruned, as far as it is still true: verification compares the tables with it. */
export const carriedFacts = {
  version: 7,
  sqlite: `
    -- The event of each pruning holds the hash of this table, so that it can't be changed unseen.
    CREATE TABLE audit_carried (
      key text PRIMARY KEY,
      value text NOT NULL
    ) WITHOUT ROWID;
  `,
} as const
