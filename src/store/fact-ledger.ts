import type { Statement } from 'better-sqlite3'
import SQLite from 'better-sqlite3'
import type { Fact } from './recorded-facts.js'

/** What the audit log says of a fact: its value, and the row of the event; `null` for that: it was pruned. */
export type RecordedFact = { readonly key: string; readonly value: string | null; readonly row: number | null }

/** When a token was last used with a repository. A derived token counts as its parent; -1: nothing tells which that was. */
export type RecordedUse = {
  readonly token_id: number
  readonly parent_id: number
  readonly repository: string
  readonly fetched_at: number | null
  readonly pushed_at: number | null
}

/**
 * Gathers what a whole audit log says. It is kept in a temporary database, which SQLite writes to disk when it grows and deletes
 * at the end: a log can tell of millions of tokens.
 */
export class FactLedger {
  readonly #database = new SQLite('')
  readonly #put: Statement
  readonly #take: Statement
  readonly #use: Statement

  constructor() {
    this.#database.pragma('synchronous = OFF')
    this.#database.exec(`
      CREATE TABLE facts (key text PRIMARY KEY, value text, row integer, seen integer NOT NULL DEFAULT 0) WITHOUT ROWID;
      CREATE TABLE uses (
        token_id integer NOT NULL, repository text NOT NULL, fetched_at integer, pushed_at integer,
        parent_id integer NOT NULL DEFAULT -1,
        PRIMARY KEY (token_id, repository)
      ) WITHOUT ROWID;
      CREATE INDEX uses_repository ON uses (repository, parent_id);
      BEGIN;
    `)
    this.#put = this.#database.prepare(
      'INSERT INTO facts (key, value, row) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, row = excluded.row',
    )
    this.#take = this.#database.prepare('UPDATE facts SET seen = 1 WHERE key = ? RETURNING key, value, row')
    this.#use = this.#database.prepare(`
      INSERT INTO uses (token_id, repository, fetched_at, pushed_at) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET
        fetched_at = nullif(max(coalesce(fetched_at, 0), coalesce(excluded.fetched_at, 0)), 0),
        pushed_at = nullif(max(coalesce(pushed_at, 0), coalesce(excluded.pushed_at, 0)), 0)
    `)
  }

  put([key, value]: Fact, row: number | null): void {
    this.#put.run(key, value, row)
  }

  /** The webhooks of an account end with it. */
  endWebhooksOf(user: string, row: number): void {
    this.#database
      .prepare(
        `UPDATE facts SET value = NULL, row = ?
         WHERE key >= 'webhook:' AND key < 'webhook;' AND json_extract(value, '$[1]') = ?`,
      )
      .run(row, user)
  }

  /** What the log says of a fact, which is then no longer among {@link untaken}. */
  take(key: string): RecordedFact | undefined {
    return this.#take.get(key) as RecordedFact | undefined
  }

  /** A fact of whose row nobody asked, so that it is missing. Rows of tokens and sessions may be: they are deleted without an event. */
  untaken(): RecordedFact | undefined {
    return this.#database
      .prepare(
        `SELECT key, value, row FROM facts WHERE seen = 0 AND value IS NOT NULL
         AND NOT (key >= 'token:' AND key < 'token;') AND NOT (key >= 'session:' AND key < 'session;')
         ORDER BY row LIMIT 1`,
      )
      .get() as RecordedFact | undefined
  }

  use(token: number, repository: string, fetchedAt: number | null, pushedAt: number | null): void {
    this.#use.run(token, repository, fetchedAt, pushedAt)
  }

  /** The next token that was used. */
  usedTokenAfter(token: number): number | null {
    return this.#database.prepare('SELECT min(token_id) FROM uses WHERE token_id > ?').pluck().get(token) as
      number | null
  }

  /** What a token was derived from, as its event says; the token itself where from none, `undefined` where no event tells. */
  parentOf(token: number): number | undefined {
    const row = this.#database
      .prepare("SELECT coalesce(json_extract(value, '$.derived_from'), ?) AS parent FROM facts WHERE key = ?")
      .get(token, `token:${token}`) as { readonly parent: number } | undefined
    return row?.parent
  }

  setParent(token: number, parent: number): void {
    this.#database.prepare('UPDATE uses SET parent_id = ? WHERE token_id = ?').run(parent, token)
  }

  /** Some uses, in the order of tokens and repositories. @param after the last one that was read */
  usesAfter(after: { readonly token_id: number; readonly repository: string }, limit: number): RecordedUse[] {
    return this.#database
      .prepare('SELECT * FROM uses WHERE (token_id, repository) > (?, ?) ORDER BY token_id, repository LIMIT ?')
      .all(after.token_id, after.repository, limit) as RecordedUse[]
  }

  /** The last use of a token, or of any derived from it, with a repository, as far as the log tells. */
  lastUse(
    token: number,
    repository: string,
  ): { readonly fetched_at: number | null; readonly pushed_at: number | null } {
    return this.#database
      .prepare(
        `SELECT max(fetched_at) AS fetched_at, max(pushed_at) AS pushed_at FROM uses
         WHERE repository = ? AND (token_id = ? OR parent_id IN (?, -1))`,
      )
      .get(repository, token, token) as { readonly fetched_at: number | null; readonly pushed_at: number | null }
  }

  close(): void {
    this.#database.close()
  }
}
