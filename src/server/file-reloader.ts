import { stat } from 'node:fs/promises'
import type { Repeated } from '../core/repeat.js'
import { repeat } from '../core/repeat.js'
import type { Logger } from './log.js'

/** What was read from files at the start, and can be read again. */
export type Reloadable = {
  /** What the files contain, for the log. */
  readonly what: string
  readonly files: readonly string[]
  /** Reads the files and uses them. @throws if they can't be used; then the old contents stay in use */
  readonly reload: () => void
}

/**
 * Reloads files when they have changed, and on request. A certificate and its key can't be replaced at the same time: while they
 * don't match, the old ones stay in use, and the next change is another attempt.
 */
export class FileReloader {
  readonly #watched: readonly { readonly item: Reloadable; signature: string }[]
  readonly #log: Logger
  readonly #polling: Repeated

  constructor(items: readonly Reloadable[], log: Logger, pollMs: number) {
    this.#watched = items.map((item) => ({ item, signature: '' }))
    this.#log = log
    this.#polling = repeat(
      pollMs,
      () => this.#reloadChanged(),
      (error) => log.error({ err: error }, 'looking for changed files failed; retrying'),
    )
  }

  /** Reads all files again, changed or not. */
  reload(): void {
    for (const { item } of this.#watched) this.#reload(item)
  }

  async close(): Promise<void> {
    await this.#polling.stop()
  }

  async #reloadChanged(): Promise<void> {
    for (const watched of this.#watched) {
      const signature = (await Promise.all(watched.item.files.map(statSignature))).join(' ')
      const before = watched.signature
      watched.signature = signature
      if (before !== '' && before !== signature) this.#reload(watched.item)
    }
  }

  #reload({ what, files, reload }: Reloadable): void {
    try {
      reload()
      this.#log.info({ files }, `reloaded ${what}`)
    } catch (error) {
      this.#log.error({ err: error, files }, `${what} can't be reloaded; the old one stays in use`)
    }
  }
}

/** Differs when a file has changed. Follows symbolic links, by which certbot and Kubernetes replace files. */
async function statSignature(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path)
    return [ino, size, mtimeMs, ctimeMs].join(':')
  } catch {
    return 'missing'
  }
}
