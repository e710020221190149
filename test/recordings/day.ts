import { createCliDependencies } from '../../src/app/cli-dependencies.js'
import { THE_GATE } from '../../src/domain/audit/event.js'
import type { heldGit } from '../acceptance/cache-world.js'
import { callsWith } from '../acceptance/api/calls.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { basic } from '../acceptance/http-client.js'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { mask } from './recording.js'

const DATE = '2026-03-02'

/** A step of the day: what happened, when, and the log lines about it. */
type Step = { readonly title: string; readonly at: string; readonly lines: readonly string[] }

/** A token of the day, by the name that it was given. */
export type DayToken = { readonly id: number; readonly secret: string }

/** What an account signs in with, and what its browser keeps. */
export type SignIn = {
  readonly password: string
  readonly seed?: string
  readonly recoveryCodes?: readonly string[]
  readonly cookies?: Readonly<Record<string, string>>
}

/** A gate whose clock is moved through a day, and what is known about it at the end. */
export class Day {
  readonly world: World
  readonly held: ReturnType<typeof heldGit>
  readonly tokens = new Map<string, DayToken>()
  readonly signIns = new Map<string, SignIn>()
  webhookSecret = ''
  readonly #steps: Step[] = []
  readonly #cli: GitgateCli
  #linesRead = 0

  constructor(world: World, held: ReturnType<typeof heldGit>) {
    this.world = world
    this.held = held
    const unused = (): never => {
      throw new Error('not for commands of the day')
    }
    // The gate's own store, so that commands go by the gate's time.
    const close = () => Promise.resolve()
    const openStore = () => ({ ...world.store, close, createGate: unused, jobs: unused })
    const operator = { ...THE_GATE, via: 'cli', operator: 'operator' } as const
    const options = { dependencies: { ...createCliDependencies(), openStore, operator }, clock: () => world.now }
    this.#cli = new GitgateCli(world.folder, {}, options)
  }

  /**
   * Plays a step at its time of the day. Within it, what is written at once, such as a command's change, must not follow
   * what is written a moment later, such as the event of a fetch: their order would not be certain.
   */
  async at(time: string, title: string, play: () => Promise<unknown>): Promise<void> {
    await this.play(`${DATE}T${time}:00.000Z`, title, play)
  }

  /** Plays a step at an instant, and keeps the log lines of the requests that it makes. */
  async play(at: string, title: string, play: () => Promise<unknown>): Promise<void> {
    this.world.advance(new Date(at).getTime() - this.world.now.getTime())
    await play()
    // A request is logged when it has ended, which its client may see first.
    const { headers } = await this.world.http('/-/health')
    const last = String(headers['x-request-id'])
    await until(() => this.world.log.includes(last))
    const lines = this.world.log.split('\n').slice(this.#linesRead, -1)
    this.#linesRead += lines.length
    this.#steps.push({ title, at, lines: lines.filter((line) => !line.includes(last)) })
  }

  /** Runs a command that must succeed. @returns its standard output */
  async cli(args: string, input = ''): Promise<string> {
    return await this.#cli.ask(args.split(' '), input)
  }

  /** Creates a token by the command line. */
  async createToken(user: string, name: string, flags: string): Promise<void> {
    const made = await this.cli(`token create ${user} --name ${name} ${flags} --json`)
    const { id, token } = JSON.parse(made) as { id: number; token: string }
    this.tokens.set(name, { id, secret: token })
  }

  /** A token by its name. */
  token(name: string): DayToken {
    const token = this.tokens.get(name)
    if (token === undefined) throw new Error(`there is no token ${name}`)
    return token
  }

  /** Calls the REST API with a token. @returns the body */
  async api(token: string, method: string, path: string, body?: object, headers: Record<string, string> = {}) {
    const answer = await callsWith(this.world, this.token(token).secret)(method, path, body, headers)
    return answer.body as { id: number; token: string }
  }

  /** Runs git with a token, which it presents without being asked: a refusal then is one request. */
  async git(token: string, args: readonly string[], options: { cwd?: string; status?: 'any' } = {}) {
    const header = `http.extraHeader=Authorization: ${basic('alice', this.token(token).secret)}`
    return await this.world.git.run(['-c', header, ...args], options)
  }

  /** Asks for the advertisement of a repository. */
  async advertisement(path: string, credentials: object) {
    return await this.world.http(`/${path}.git/info/refs?service=git-upload-pack`, credentials)
  }

  /** The log by steps; at the end, each once, what the gate logs by itself and at no fixed place. */
  log(): string {
    const isOfRequest = (line: string) => 'ip' in (JSON.parse(line) as object)
    const steps = this.#steps.flatMap(({ title, at, lines }) =>
      lines.some(isOfRequest) ? [section(`${at} ${title}`, lines.filter(isOfRequest))] : [],
    )
    const others = new Set(this.#steps.flatMap(({ lines }) => lines.filter((line) => !isOfRequest(line)).map(maskLine)))
    return [...steps, section('what the gate logs by itself', [...others].sort())].join('\n')
  }

  /** The audit events by steps. @param events as the API has them */
  audit(events: readonly { readonly at: string }[]): string {
    const titles = new Map(this.#steps.map(({ title, at }) => [at, title]))
    const times = [...new Set(events.map(({ at }) => at))].sort()
    const lines = (time: string) => events.filter(({ at }) => at === time).map((event) => JSON.stringify(event))
    return times.map((time) => section(`${time} ${titles.get(time) ?? ''}`, lines(time))).join('\n')
  }
}

const JOBS = ['expiry-notification', 'expired-notification', 'lifetime-revocation', 'audit-retention']

/** Waits until every job has run that is due at the gate's time. */
export async function jobsDone(world: World): Promise<void> {
  await until(async () => {
    const runs = await Promise.all(JOBS.map((name) => world.store.jobRuns.find(name)))
    return runs.every((run) => run?.doneAt?.getTime() === world.now.getTime())
  })
}

function section(title: string, lines: readonly string[]): string {
  return [`# ${title}`, '', ...lines.map(maskLine), ''].join('\n')
}

/** What the values of these fields are called in a recording. */
const MASKED: Readonly<Record<string, string>> = {
  id: '<row>',
  time: '<time>',
  duration_ms: '<duration>',
  auth_ms: '<duration>',
  backend_ms: '<duration>',
  bytes_in: '<bytes>',
  bytes_out: '<bytes>',
  repositories: '<folder>',
  git: '<version>',
}

function maskLine(line: string): string {
  const fields = Object.entries(JSON.parse(line) as Record<string, unknown>)
  const masked = fields.map(([name, value]) => [name, value === null ? null : (MASKED[name] ?? value)] as const)
  return mask(JSON.stringify(Object.fromEntries(masked)))
}
