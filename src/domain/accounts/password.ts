import { createHmac, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import type * as CommonLanguage from '@zxcvbn-ts/language-common'
import bcrypt from 'bcrypt'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../core/clock.js'
import { MINUTE } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import { Secret } from '../../core/secret.js'
import type { Account } from './account.js'

const MIN_CHARACTERS = 8
// bcrypt ignores everything after 72 bytes.
const MAX_BYTES = 72
// docs/decisions/0018-recovery-codes.md
const COST_OF_RANDOM = 8
// Unless the environment says otherwise (Node's documentation: UV_THREADPOOL_SIZE).
const THREADS = Number(process.env['UV_THREADPOOL_SIZE']) || 4
const REMEMBER_MS = MINUTE
const REMEMBERED_PASSWORDS = 1_000

/**
 * Checks a new password.
 *
 * @throws GitgateError `invalid`, saying which rule is broken
 */
export function checkNewPassword(password: Secret, account: Pick<Account, 'username' | 'email'>): void {
  const text = password.reveal()
  const folded = text.toLowerCase()
  if (Array.from(text).length < MIN_CHARACTERS)
    throw new GitgateError('invalid', `a password needs at least ${MIN_CHARACTERS} characters`, { field: 'password' })
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw new GitgateError('invalid', `a password can have at most ${MAX_BYTES} bytes`, { field: 'password' })
  if (text.includes('\0'))
    throw new GitgateError('invalid', "a password can't contain NUL characters", { field: 'password' })
  if (isCommonPassword(folded))
    throw new GitgateError('invalid', 'this password is too common; choose another one', { field: 'password' })
  if (folded === account.username.toLowerCase() || folded === account.email?.toLowerCase()) {
    throw new GitgateError('invalid', "a password can't be the username or the email address", { field: 'password' })
  }
}

const require = createRequire(import.meta.url)

/**
 * Whether a password, in lower case, is among the first that anyone would try. zxcvbn finds repeated and reversed passwords
 * by rules of its own, so its list leaves most of them out.
 */
function isCommonPassword(password: string): boolean {
  if (/^(.+?)\1+$/.test(password)) return true
  // Loaded when the first password is set: that takes 50 ms and 3 MB.
  const { dictionary } = require('@zxcvbn-ts/language-common') as typeof CommonLanguage
  const common = dictionary['passwords-common']
  return common.includes(password) || common.includes(Array.from(password).reverse().join(''))
}

/** The result of checking a password; `busy` if too many checks are queued. */
export type PasswordVerdict = 'right' | 'wrong' | 'busy'

/** Options of {@link Passwords}. */
export type PasswordOptions = {
  /** bcrypt's cost, the binary logarithm of its rounds. @default 12, range 4–15 (170 ms at 12, 43 ms at 10) */
  readonly cost?: number
  /** Checks that run at once, fewer than libuv has threads. @default one fewer than the machine has cores, so that Git gets one */
  readonly concurrency?: number
  /** Checks that may be queued; further ones are `busy`. @default 64 */
  readonly maxWaiting?: number
}

/**
 * Hashes and checks passwords with bcrypt, a few at a time. bcrypt runs on libuv's four threads, which also serve files and DNS:
 * 50 checks at once delayed those by 19 s (measured), so one thread always stays free. A correct password is remembered for a
 * minute, because git sends it with each of the two to four requests of a clone.
 */
export class Passwords {
  readonly #cost: number
  readonly #clock: Clock
  readonly #queue: BoundedQueue
  /** Checks that are running or found the password correct, each with the time until which its result counts. */
  readonly #remembered = new LRUCache<string, { until: number; verdict: Promise<PasswordVerdict> }>({
    max: REMEMBERED_PASSWORDS,
  })
  // Random for each process, so that the keys of the map don't identify passwords anywhere else.
  readonly #key = randomBytes(32)
  #dummyHash: Promise<string | undefined> | undefined

  constructor(clock: Clock, options: PasswordOptions = {}) {
    this.#clock = clock
    this.#cost = options.cost ?? 12
    this.#queue = new BoundedQueue(
      Math.min(options.concurrency ?? Math.max(1, availableParallelism() - 1), Math.max(1, THREADS - 1)),
      options.maxWaiting ?? 64,
    )
  }

  /**
   * The bcrypt hash of a new password.
   *
   * @throws GitgateError `conflict` if too many checks are queued
   */
  async hash(password: Secret): Promise<Secret> {
    return this.#hash(password, this.#cost)
  }

  /**
   * The bcrypt hash of a secret of 60 random bits or more, in a sixteenth of the time: ten recovery codes take 0.1 s instead of
   * two, and a wrong code is found as fast.
   *
   * @throws GitgateError `conflict` if too many checks are queued
   */
  async hashRandom(secret: Secret): Promise<Secret> {
    return this.#hash(secret, Math.min(this.#cost, COST_OF_RANDOM))
  }

  async #hash(password: Secret, cost: number): Promise<Secret> {
    const hash = await this.#queue.run(() => bcrypt.hash(password.reveal(), cost))
    if (hash === undefined) throw new GitgateError('conflict', 'too many passwords are being checked; try again')
    return new Secret(hash, 'password hash')
  }

  /**
   * Checks a password. For an account that is missing or has no password it takes as long as for a wrong password, so that
   * the time doesn't tell which usernames exist.
   *
   * @param account `undefined` if no account has that name
   */
  async check(account: Pick<Account, 'id' | 'passwordHash'> | undefined, password: Secret): Promise<PasswordVerdict> {
    const text = password.reveal()
    const hash = account?.passwordHash?.reveal()
    if (account === undefined || hash === undefined || Buffer.byteLength(text) > MAX_BYTES) {
      const dummy = await this.#dummy()
      const verdict = dummy === undefined ? 'busy' : await this.#compare('', dummy)
      return verdict === 'busy' ? 'busy' : 'wrong'
    }
    const key = createHmac('sha256', this.#key).update(`${account.id}\0${hash}\0${text}`).digest('base64')
    const now = this.#clock().getTime()
    const known = this.#remembered.get(key)
    if (known !== undefined && known.until > now) return known.verdict

    const verdict = this.#compare(text, hash)
    this.#remembered.set(key, { until: now + REMEMBER_MS, verdict })
    const answer = await verdict
    if (answer !== 'right') this.#remembered.delete(key)
    return answer
  }

  async #compare(text: string, hash: string): Promise<PasswordVerdict> {
    const equal = await this.#queue.run(() => bcrypt.compare(text, hash))
    if (equal === undefined) return 'busy'
    return equal ? 'right' : 'wrong'
  }

  /** @returns `undefined` if too many checks are queued */
  async #dummy(): Promise<string | undefined> {
    this.#dummyHash ??= this.#queue.run(() => bcrypt.hash(randomBytes(16).toString('hex'), this.#cost))
    const hash = await this.#dummyHash
    if (hash === undefined) this.#dummyHash = undefined
    return hash
  }
}

/** Runs at most `concurrency` tasks at once, and queues at most `maxWaiting`. */
class BoundedQueue {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(concurrency: number, maxWaiting: number) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
  }

  /** @returns the task's result, or `undefined` if the queue is full */
  async run<T>(task: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= this.#concurrency) {
      if (this.#waiting.length >= this.#maxWaiting) return undefined
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else {
      this.#running += 1
    }
    try {
      return await task()
    } finally {
      // The next task takes over the place, so that no later one overtakes it.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}
