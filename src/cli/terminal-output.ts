import colors from 'picocolors'
import stringWidth from 'string-width'

/** Where a command reads and writes: the process's streams, or a test's. */
export type Terminal = {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly env: NodeJS.ProcessEnv
  /** Aborted when the process gets SIGTERM or SIGINT. */
  readonly signal: AbortSignal
  /** Calls a listener whenever the process gets SIGHUP, which otherwise ends it. */
  onReload(listener: () => void): void
}

/** Writes results to standard output, and everything else to standard error. */
export class Output {
  readonly #terminal: Terminal

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** A line of the result. */
  answer(line: string): void {
    this.#terminal.stdout.write(`${line}\n`)
  }

  /** A line that is not part of the result. */
  note(line: string): void {
    this.#terminal.stderr.write(`${line}\n`)
  }

  /** The result, for programs. */
  json(value: unknown): void {
    this.answer(JSON.stringify(value, undefined, 2))
  }

  /**
   * The result in columns without borders, so that people can read it and `cut` can split it.
   *
   * @param empty the note if there are no rows
   */
  table(head: readonly string[], rows: readonly (readonly string[])[], empty: string): void {
    if (rows.length === 0) return this.note(empty)
    const paint = this.#terminal.stdout.isTTY === true ? colors : colors.createColors(false)
    const widths = head.map((title, column) =>
      rows.reduce((width, row) => Math.max(width, stringWidth(row[column] ?? '')), stringWidth(title)),
    )
    const line = (cells: readonly string[], style: (cell: string) => string): string =>
      cells
        .map((cell, column) => style(cell) + ' '.repeat((widths[column] ?? 0) - stringWidth(cell)))
        .join(COLUMN_GAP)
        .trimEnd()
    this.answer(line(head, paint.bold))
    for (const row of rows) this.answer(line(row, (cell) => cell))
  }

  /** The result as names and values, one a line. */
  fields(fields: readonly (readonly [name: string, value: string])[]): void {
    const width = Math.max(...fields.map(([name]) => name.length))
    for (const [name, value] of fields) this.answer(`${name.padEnd(width)}  ${value}`)
  }
}

const COLUMN_GAP = '  '
