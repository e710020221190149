/** The times of settings become those of their events, with which verification compares them. */
export const settingTimes = {
  version: 8,
  sqlite: `
    -- Earlier versions moved the time, without an event, when a setting was set again to the value that it had.
    UPDATE settings SET set_at = events.at
      FROM (
        SELECT target, at, max(id) FROM audit_events
          WHERE target IS NOT NULL AND action = 'setting.changed' GROUP BY target
      ) AS events
      WHERE events.target = 'setting:' || settings.key;
  `,
} as const
