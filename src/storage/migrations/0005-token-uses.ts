/** Which repositories tokens were used with, and when last: a row of the trail adds to it in its own transaction. */
export const tokenUses = {
  version: 5,
  sqlite: `
    -- To add up the trail instead would take a second for a token with a million rows (measured). A derived token counts as
    -- the one that it was derived from: it lives for one task.
    CREATE TABLE token_uses (
      token_id integer NOT NULL,
      repository text NOT NULL,
      fetched_at integer,
      pushed_at integer,
      PRIMARY KEY (token_id, repository)
    ) WITHOUT ROWID;
    INSERT INTO token_uses (token_id, repository, fetched_at, pushed_at)
      SELECT coalesce(tokens.parent_id, events.token_id), events.repository,
        max(CASE events.action WHEN 'git.fetch' THEN events.at END),
        max(CASE events.action WHEN 'git.pushed' THEN events.at END)
      FROM audit_events AS events LEFT JOIN personal_access_tokens AS tokens ON tokens.id = events.token_id
      WHERE events.token_id IS NOT NULL AND events.repository IS NOT NULL
        AND events.decision = 'allowed' AND events.action IN ('git.fetch', 'git.pushed')
      GROUP BY 1, 2;
    -- The first that an administrator looks for; there are few, so that it costs other rows nothing.
    CREATE INDEX audit_events_refused ON audit_events (id) WHERE decision = 'refused';
    CREATE TRIGGER audit_events_token_use AFTER INSERT ON audit_events
      WHEN new.token_id IS NOT NULL AND new.repository IS NOT NULL
        AND new.decision = 'allowed' AND new.action IN ('git.fetch', 'git.pushed')
    BEGIN
      INSERT INTO token_uses (token_id, repository, fetched_at, pushed_at)
        VALUES (
          coalesce((SELECT parent_id FROM personal_access_tokens WHERE id = new.token_id), new.token_id),
          new.repository,
          CASE new.action WHEN 'git.fetch' THEN new.at END,
          CASE new.action WHEN 'git.pushed' THEN new.at END
        )
        ON CONFLICT DO UPDATE SET
          fetched_at = nullif(max(coalesce(fetched_at, 0), coalesce(excluded.fetched_at, 0)), 0),
          pushed_at = nullif(max(coalesce(pushed_at, 0), coalesce(excluded.pushed_at, 0)), 0);
    END;
  `,
} as const
