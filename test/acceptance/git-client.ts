import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// No commit and no fetch starts two more processes to find out that there is nothing to tidy up.
const QUIET = '[maintenance]\n\tauto = false\n[gc]\n\tauto = 0\n'

/** What a git command said. */
export type GitResult = { readonly status: number; readonly stdout: string; readonly stderr: string }

/** Where and how a git command runs. */
export type GitOptions = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string | Buffer
  /** The status that is expected; anything else fails the test. @default 0 */
  readonly status?: number | 'any'
  /** Told what it has written to standard error so far, each time it writes there. */
  readonly onStderr?: (text: string) => void
}

/** Git as a person uses it: with a home of its own, never asking anything. */
export class GitClient {
  readonly home: string
  readonly #command: readonly [program: string, ...args: string[]]

  /**
   * @param folder where its home and its clones are made
   * @param command how git is started
   */
  constructor(folder: string, name: string, command: readonly [string, ...string[]] = ['git']) {
    this.home = join(folder, name)
    this.#command = command
    mkdirSync(this.home, { recursive: true })
    const config = `[user]\n\tname = ${name}\n\temail = ${name}@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n${QUIET}`
    writeFileSync(join(this.home, '.gitconfig'), config)
  }

  /** Runs git. Asynchronously, because the gate lives in the same process. */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const [program, ...first] = this.#command
    const child = spawn(program, [...first, ...args], {
      cwd: options.cwd ?? this.home,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: this.home,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_TERMINAL_PROMPT: '0',
        LC_ALL: 'C.UTF-8',
        ...options.env,
      },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('latin1')))
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8')
      options.onStderr?.(stderr)
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? -1))
    })
    const expected = options.status ?? 0
    if (expected !== 'any' && status !== expected) {
      throw new Error(`git ${args.join(' ')} ended with ${status}, not ${expected}:\n${stderr.slice(-2_000)}`)
    }
    return { status, stdout, stderr }
  }

  /** A command's output, without the line's end. */
  async ask(args: readonly string[], options: GitOptions = {}): Promise<string> {
    return (await this.run(args, options)).stdout.trim()
  }

  /**
   * Clones into a folder of the home.
   *
   * @param flags of `git clone`
   * @returns its path
   */
  async clone(url: string, name: string, ...flags: readonly string[]): Promise<string> {
    await this.run(['clone', ...flags, url, name])
    return join(this.home, name)
  }

  /** Makes a repository with one commit. @returns its path */
  async init(name: string, ...flags: readonly string[]): Promise<string> {
    await this.run(['init', '--quiet', ...flags, name])
    const folder = join(this.home, name)
    await this.commit(folder, 'README.md', `# ${name}\n`)
    return folder
  }

  /** Writes a file and commits it. @returns the commit */
  async commit(folder: string, file: string, text: string): Promise<string> {
    writeFileSync(join(folder, file), text)
    await this.run(['add', file], { cwd: folder })
    await this.run(['commit', '--quiet', '-m', `Change ${file}`], { cwd: folder })
    return await this.ask(['rev-parse', 'HEAD'], { cwd: folder })
  }
}
