import type { Statement } from 'better-sqlite3'
import SQLite from 'better-sqlite3'
import type { Fact } from './recorded-facts.js'

/** What the audit log says about a fact. `row` is the event that says so, `null` if that was pruned. */
export type RecordedFact = { readonly key: string; readonly value: string | null; readonly row: number | null }

/** When a token was last used with a repository. A derived token counts as its parent; `parent_id` is -1 if that is unknown. */
export type RecordedUse = {
  readonly token_id: number
  readonly parent_id: number
  readonly repository: string
  readonly fetched_at: number | null
  readonly pushed_at: number | null
}

type LastUse = Pick<RecordedUse, 'fetched_at' | 'pushed_at'>

/** The key by which uses are ordered. */
export type UseKey = Pick<RecordedUse, 'token_id' | 'repository'>

/** Collects the facts of a complete audit log, in a temporary database that SQLite writes to disk as it grows and deletes when it
 * is closed: a log can mention millions of tokens.
 */
export class FactLedger {
  readonly #database = new SQLite('')
  readonly #statements = new Map<string, Statement>()

  constructor() {
    this.#database.pragma('synchronous = OFF')
    this.#database.exec(`
      CREATE TABLE facts (key text PRIMARY KEY, value text, row integer, seen integer NOT NULL DEFAULT 0) WITHOUT ROWID;
      CREATE TABLE uses (
        token_id integer NOT NULL, repository text NOT NULL, fetched_at integer, pushed_at integer,
        parent_id integer NOT NULL DEFAULT -1,
        PRIMARY KEY (token_id, repository)
      ) WITHOUT ROWID;
      CREATE TABLE found_uses (
        token_id integer NOT NULL, repository text NOT NULL, fetched_at integer, pushed_at integer,
        PRIMARY KEY (token_id, repository)
      ) WITHOUT ROWID;
      CREATE TABLE pushes (token_id integer PRIMARY KEY, parent_id integer, pushes integer NOT NULL);
      CREATE INDEX pushes_parent ON pushes (parent_id) WHERE parent_id IS NOT NULL;
      BEGIN;
    `)
  }

  put([key, value]: Fact, row: number | null): void {
    this.#statement(
      `INSERT INTO facts (key, value, row) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET value = excluded.value, row = excluded.row`,
    ).run(key, value, row)
  }

  /** An account's webhooks are deleted with it. */
  endWebhooksOf(user: string, row: number): void {
    this.#statement(
      `UPDATE facts SET value = NULL, row = ?
         WHERE key >= 'webhook:' AND key < 'webhook;' AND json_extract(value, '$[1]') = ?`,
    ).run(row, user)
  }

  /** Returns what the log says about a fact, and marks the fact as taken, for {@link untaken}. */
  take(key: string): RecordedFact | undefined {
    return this.#statement('UPDATE facts SET seen = 1 WHERE key = ? RETURNING key, value, row').get(key) as
      RecordedFact | undefined
  }

  /** A fact whose row is missing: nobody took it. Tokens and sessions are left out, because they are deleted without an event. */
  untaken(): RecordedFact | undefined {
    return this.#statement(
      `SELECT key, value, row FROM facts WHERE seen = 0 AND value IS NOT NULL
         AND NOT (key >= 'token:' AND key < 'token;') AND NOT (key >= 'session:' AND key < 'session;')
         ORDER BY row LIMIT 1`,
    ).get() as RecordedFact | undefined
  }

  use(token: number, repository: string, fetchedAt: number | null, pushedAt: number | null): void {
    this.#statement(
      `
      INSERT INTO uses (token_id, repository, fetched_at, pushed_at) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET
        fetched_at = nullif(max(coalesce(fetched_at, 0), coalesce(excluded.fetched_at, 0)), 0),
        pushed_at = nullif(max(coalesce(pushed_at, 0), coalesce(excluded.pushed_at, 0)), 0)
    `,
    ).run(token, repository, fetchedAt, pushedAt)
  }

  /** Counts a push by a token. */
  pushed(token: number): void {
    this.#statement(
      `INSERT INTO pushes VALUES (
         @token, (SELECT json_extract(value, '$.derived_from') FROM facts WHERE key = @key), 1
       ) ON CONFLICT DO UPDATE SET pushes = pushes + 1`,
    ).run({ token, key: `token:${token}` })
  }

  /** A token that replaces another starts with the pushes of that one. */
  inheritPushes(token: number, from: number): void {
    const pushes = this.pushesOf(from)
    if (pushes > 0) this.#statement('INSERT OR REPLACE INTO pushes VALUES (?, NULL, ?)').run(token, pushes)
  }

  /** The pushes by a token and those derived from it. */
  pushesOf(token: number): number {
    return this.#statement('SELECT coalesce(sum(pushes), 0) FROM pushes WHERE token_id = @token OR parent_id = @token')
      .pluck()
      .get({ token }) as number
  }

  /** The used token with the next higher ID. */
  usedTokenAfter(token: number): number | null {
    return this.#statement('SELECT min(token_id) FROM uses WHERE token_id > ?').pluck().get(token) as number | null
  }

  /** The token's parent according to its event: the token itself if it wasn't derived, `undefined` if there is no event. */
  parentOf(token: number): number | undefined {
    const row = this.#statement(
      "SELECT coalesce(json_extract(value, '$.derived_from'), ?) AS parent FROM facts WHERE key = ?",
    ).get(token, `token:${token}`) as { readonly parent: number } | undefined
    return row?.parent
  }

  setParent(token: number, parent: number): void {
    this.#statement('UPDATE uses SET parent_id = ? WHERE token_id = ?').run(parent, token)
  }

  /** Adds a row of `token_uses`. */
  found(row: { readonly token_id: number; readonly repository: string } & LastUse): void {
    const { token_id, repository, fetched_at, pushed_at } = row
    this.#statement('INSERT INTO found_uses VALUES (?, ?, ?, ?)').run(token_id, repository, fetched_at, pushed_at)
  }

  /** A page of the uses for which `token_uses` has no row, or only an older one. A row may belong to the token or its parent.
   * @param after the last use of the page before
   * @returns the uses, and the last use of this page
   */
  lackingAfter(after: UseKey, limit: number): { readonly lacking: RecordedUse[]; readonly last: UseKey | undefined } {
    const page = this.#statement(
      `SELECT token_id, repository FROM uses WHERE (token_id, repository) > (?, ?)
       ORDER BY token_id, repository LIMIT 1 OFFSET ?`,
    )
    const ended = this.#statement(
      'SELECT token_id, repository FROM uses ORDER BY token_id DESC, repository DESC LIMIT 1',
    )
    const last = (page.get(after.token_id, after.repository, limit - 1) ?? ended.get()) as UseKey | undefined
    if (last === undefined || (last.token_id === after.token_id && last.repository === after.repository))
      return { lacking: [], last: undefined }
    const lacking = this.#statement(
      `
      SELECT * FROM uses
      WHERE (token_id, repository) > (@token, @repository) AND (token_id, repository) <= (@lastToken, @lastRepository)
        AND NOT EXISTS (
          SELECT 1 FROM found_uses AS found
          WHERE found.token_id IN (uses.token_id, uses.parent_id) AND found.repository = uses.repository
            AND coalesce(found.fetched_at, 0) >= coalesce(uses.fetched_at, 0)
            AND coalesce(found.pushed_at, 0) >= coalesce(uses.pushed_at, 0)
        )
    `,
    ).all({
      token: after.token_id,
      repository: after.repository,
      lastToken: last.token_id,
      lastRepository: last.repository,
    }) as RecordedUse[]
    return { lacking, last }
  }

  /** Groups the uses by parent token, for {@link lastUse}. */
  addUpUses(): void {
    this.#database.exec(`
      CREATE TABLE last_uses (
        parent_id integer NOT NULL, repository text NOT NULL, fetched_at integer, pushed_at integer,
        PRIMARY KEY (parent_id, repository)
      ) WITHOUT ROWID;
      INSERT INTO last_uses
        SELECT parent_id, repository, max(fetched_at), max(pushed_at) FROM uses GROUP BY parent_id, repository;
    `)
  }

  /** The last use of a repository by a token, or by one that may be derived from it, according to the log. */
  lastUse(token: number, repository: string): LastUse {
    return this.#statement(
      `
      SELECT max(fetched_at) AS fetched_at, max(pushed_at) AS pushed_at FROM (
        SELECT fetched_at, pushed_at FROM last_uses WHERE parent_id IN (@token, -1) AND repository = @repository
        UNION ALL SELECT fetched_at, pushed_at FROM uses WHERE token_id = @token AND repository = @repository
      )
    `,
    ).get({ token, repository }) as LastUse
  }

  #statement(text: string): Statement {
    const known = this.#statements.get(text) ?? this.#database.prepare(text)
    this.#statements.set(text, known)
    return known
  }

  close(): void {
    this.#database.close()
  }
}
