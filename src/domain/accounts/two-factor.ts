import { randomInt } from 'node:crypto'
import { generateSecret, generateURI, verifySync } from 'otplib'
import { GitgateError } from '../../core/errors.js'
import { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Account } from './account.js'
import type { Passwords } from './password.js'

/** An account's second factor, as stored. */
export type TwoFactor = {
  /** The secret shared with the authenticator app, in base32 (RFC 6238). Encrypted in the store. */
  readonly seed: Secret
  readonly recoveryCodes: readonly RecoveryCode[]
}

/** A one-time code in case the phone is lost; only its bcrypt hash is stored. */
export type RecoveryCode = { readonly id: number; readonly hash: Secret }

/** Stores second factors. */
export interface TwoFactorStore {
  find(accountId: number): Promise<TwoFactor | undefined>
  /**
   * Ends the account's sessions.
   *
   * @param step the time step of the code that confirmed it, which counts as used
   * @throws GitgateError `conflict` when it is on already
   */
  enable(
    context: AuditContext,
    accountId: number,
    seed: Secret,
    recoveryHashes: readonly Secret[],
    now: Date,
    step?: number,
  ): Promise<void>
  /** Ends the account's sessions. */
  disable(context: AuditContext, accountId: number): Promise<void>
  replaceRecoveryCodes(context: AuditContext, accountId: number, recoveryHashes: readonly Secret[]): Promise<void>
  /** Marks a time step as used. @returns false if it, or a later one, was already used */
  takeStep(accountId: number, step: number): Promise<boolean>
  /** Deletes a recovery code. @returns false if another request was first */
  takeRecoveryCode(context: AuditContext, id: number): Promise<boolean>
}

/** What is shown once when two-factor authentication is set up. */
export type Enrolment = {
  readonly seed: Secret
  /** `otpauth://totp/…`, which authenticator apps read from a QR code. */
  readonly uri: Secret
  readonly recoveryCodes: readonly Secret[]
}

const STEP_SECONDS = 30
const RECOVERY_CODES = 10
// Crockford's base 32: no I, L, O, U, so that a code survives being read aloud. 12 characters are 60 bits.
const RECOVERY_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const RECOVERY_GROUPS = 3
const RECOVERY_GROUP_LENGTH = 4

/** Makes a seed and ten recovery codes for an account. Nothing is on until {@link enableTwoFactor} has stored them. */
export function enrol(account: Pick<Account, 'username'>, issuer: string): Enrolment {
  const seed = mintSeed()
  return { seed, uri: enrolmentUri(seed, account, issuer), recoveryCodes: mintRecoveryCodes() }
}

/** A new seed: 160 random bits. */
export function mintSeed(): Secret {
  return new Secret(generateSecret(), 'two-factor seed')
}

/** What an authenticator app reads from a QR code to learn a seed. */
export function enrolmentUri(seed: Secret, account: Pick<Account, 'username'>, issuer: string): Secret {
  return new Secret(generateURI({ issuer, label: account.username, secret: seed.reveal() }), 'two-factor URI')
}

/** Ten new recovery codes. */
export function mintRecoveryCodes(): Secret[] {
  return Array.from({ length: RECOVERY_CODES }, () => new Secret(mintRecoveryCode(), 'recovery code'))
}

/**
 * Checks that there is no second factor yet, before anything is shown that would not count.
 *
 * @throws GitgateError `conflict`
 */
export function refuseSecond(account: Account): void {
  if (!account.twoFactorEnabled) return
  throw new GitgateError(
    'conflict',
    `two-factor authentication of ${account.username} is already on; to start over, turn it off first`,
  )
}

/**
 * Turns two-factor authentication on.
 *
 * @param step the time step of the code that confirmed it, if one did: that code can't be used again
 * @throws GitgateError `conflict` when it is on already
 */
export async function enableTwoFactor(
  store: TwoFactorStore,
  context: AuditContext,
  passwords: Passwords,
  account: Account,
  enrolment: Pick<Enrolment, 'seed' | 'recoveryCodes'>,
  now: Date,
  step?: number,
): Promise<void> {
  refuseSecond(account)
  const recoveryHashes = await hashAll(passwords, enrolment.recoveryCodes)
  await store.enable(context, account.id, enrolment.seed, recoveryHashes, now, step)
}

/** Replaces the recovery codes of an account by new ones. @returns them, to be shown once */
export async function renewRecoveryCodes(
  store: TwoFactorStore,
  context: AuditContext,
  passwords: Passwords,
  account: Account,
): Promise<readonly Secret[]> {
  const codes = mintRecoveryCodes()
  await store.replaceRecoveryCodes(context, account.id, await hashAll(passwords, codes))
  return codes
}

async function hashAll(passwords: Passwords, codes: readonly Secret[]): Promise<Secret[]> {
  const hashes: Secret[] = []
  // One after the other: bcrypt has few places, and others wait for them, too.
  for (const code of codes) hashes.push(await passwords.hashRandom(code))
  return hashes
}

/** What a code given as second factor turned out to be. */
export type SecondFactorVerdict = 'totp' | 'recovery-code' | 'wrong'

/**
 * Checks a second factor: a code of the authenticator app, or one of the recovery codes, which is then used up.
 *
 * @param code what was typed; blanks and dashes don't count
 * @throws GitgateError `conflict` when two-factor authentication is off, or too many checks wait
 */
export async function verifySecondFactor(
  store: TwoFactorStore,
  context: AuditContext,
  passwords: Passwords,
  account: Account,
  code: Secret,
  now: Date,
): Promise<SecondFactorVerdict> {
  const twoFactor = await store.find(account.id)
  if (twoFactor === undefined)
    throw new GitgateError('conflict', `two-factor authentication of ${account.username} is off`)

  const text = code.reveal().replace(/[\s-]/g, '').toLowerCase()
  const step = matchTotp(twoFactor.seed, text, now)
  if (step !== undefined) return (await store.takeStep(account.id, step)) ? 'totp' : 'wrong'

  if (text.length !== RECOVERY_GROUPS * RECOVERY_GROUP_LENGTH) return 'wrong'
  const recoveryCode = new Secret(groupCode(text), 'recovery code')
  for (const { id, hash } of twoFactor.recoveryCodes) {
    const verdict = await passwords.check({ id: account.id, passwordHash: hash }, recoveryCode)
    if (verdict === 'busy') throw new GitgateError('conflict', 'too many passwords are being checked; try again')
    if (verdict === 'wrong') continue
    return (await store.takeRecoveryCode(context, id)) ? 'recovery-code' : 'wrong'
  }
  return 'wrong'
}

/**
 * The time step to which a code belongs (RFC 6238, 5.2: one step of drift either way), or `undefined`.
 *
 * @param code six digits
 */
export function matchTotp(seed: Secret, code: string, now: Date): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined
  const verdict = verifySync({
    secret: seed.reveal(),
    token: code,
    epoch: Math.floor(now.getTime() / 1_000),
    epochTolerance: STEP_SECONDS,
  })
  return verdict.valid && 'timeStep' in verdict ? verdict.timeStep : undefined
}

function mintRecoveryCode(): string {
  const characters = Array.from({ length: RECOVERY_GROUPS * RECOVERY_GROUP_LENGTH }, () =>
    RECOVERY_ALPHABET.charAt(randomInt(RECOVERY_ALPHABET.length)),
  )
  return groupCode(characters.join(''))
}

function groupCode(characters: string): string {
  return (characters.match(/.{4}/g) ?? []).join('-')
}
