/** Which accounts the rows of the trail are about, by blocks of 4,096 rows: so that those of one are found among a million. */
export const auditNames = {
  version: 6,
  sqlite: `
    -- An index by username would cost each row 10 µs where there are many names, each a page of its own; this costs 2 (measured).
    CREATE TABLE audit_names (
      block integer NOT NULL,
      name text NOT NULL,
      PRIMARY KEY (block, name)
    ) WITHOUT ROWID;
    INSERT INTO audit_names (block, name)
      SELECT id >> 12, username FROM audit_events WHERE username IS NOT NULL
      UNION SELECT id >> 12, impersonator FROM audit_events WHERE impersonator IS NOT NULL
      UNION SELECT id >> 12, substr(target, 6) FROM audit_events WHERE target LIKE 'user:%'
      UNION SELECT id >> 12, substr(json_extract(details, '$.owner'), 6) FROM audit_events
        WHERE details LIKE '%"owner":"user:%';
    CREATE TRIGGER audit_names_username AFTER INSERT ON audit_events WHEN new.username IS NOT NULL
    BEGIN
      INSERT OR IGNORE INTO audit_names VALUES (new.id >> 12, new.username);
    END;
    CREATE TRIGGER audit_names_impersonator AFTER INSERT ON audit_events WHEN new.impersonator IS NOT NULL
    BEGIN
      INSERT OR IGNORE INTO audit_names VALUES (new.id >> 12, new.impersonator);
    END;
    CREATE TRIGGER audit_names_target AFTER INSERT ON audit_events WHEN new.target LIKE 'user:%'
    BEGIN
      INSERT OR IGNORE INTO audit_names VALUES (new.id >> 12, substr(new.target, 6));
    END;
    CREATE TRIGGER audit_names_owner AFTER INSERT ON audit_events WHEN new.details LIKE '%"owner":"user:%'
    BEGIN
      INSERT OR IGNORE INTO audit_names VALUES (new.id >> 12, substr(json_extract(new.details, '$.owner'), 6));
    END;
  `,
} as const
