import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** A change to one file. */
export type FileChange = { readonly path: string; readonly content: Buffer | string }

// Every repository begins at the same second, so that its object ids are the same on every machine.
const EPOCH = 1_700_000_000

/** Writes commits into a repository with `git fast-import`. */
export class FastImport {
  readonly #child
  readonly #ended: Promise<number>
  #commits = 0

  /** @param folder a bare repository */
  constructor(folder: string) {
    const args = ['--git-dir', folder, 'fast-import', '--quiet', '--force']
    this.#child = spawn('git', args, { stdio: ['pipe', 'ignore', 'inherit'] })
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('close', (code) => resolve(code ?? -1))
    })
    this.#child.stdin.on('error', () => undefined)
  }

  /** @param from what it follows, if not the commit before it on the branch */
  async commit(branch: string, changes: Iterable<FileChange>, from?: string): Promise<void> {
    const number = ++this.#commits
    const message = `Change ${number}`
    await this.#write(
      `commit ${branch}\ncommitter Bench <bench@example.com> ${EPOCH + number * 60} +0000\ndata ${message.length}\n${message}\n`,
    )
    if (from !== undefined) await this.#write(`from ${from}\n`)
    for (const { path, content } of changes) {
      await this.#write(`M 100644 inline ${path}\ndata ${Buffer.byteLength(content)}\n`)
      await this.#write(content)
      await this.#write('\n')
    }
  }

  /** Makes a ref that points where a branch does. */
  async ref(name: string, branch: string): Promise<void> {
    await this.#write(`reset ${name}\nfrom ${branch}\n\n`)
  }

  async end(): Promise<void> {
    this.#child.stdin.end()
    const status = await this.#ended
    if (status !== 0) throw new Error(`git fast-import ended with ${status}`)
  }

  async #write(text: Buffer | string): Promise<void> {
    if (!this.#child.stdin.write(text)) await Promise.race([once(this.#child.stdin, 'drain'), this.#ended])
  }
}
