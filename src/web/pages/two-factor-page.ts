import type { FastifyReply, FastifyRequest } from 'fastify'
import { toString as qrCode } from 'qrcode'
import { Type } from 'typebox'
import {
  enableTwoFactor,
  enrolmentUri,
  matchTotp,
  mintRecoveryCodes,
  mintSeed,
  refuseSecond,
  renewRecoveryCodes,
} from '../../domain/accounts/two-factor.js'
import { Secret } from '../../core/secret.js'
import { requirePassword } from '../confirmation.js'
import type { SessionAccess } from '../session-state.js'
import {
  isFirstSubmission,
  putOneTimeDisplay,
  readSessionState,
  flash,
  takeOneTimeDisplay,
  updateSessionState,
} from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import type { Member } from '../principal.js'
import { beginSession, memberOf } from '../principal.js'

const PATH = '/-/user_settings/two_factor_auth'
const CODES = `${PATH}/recovery_codes`
const config = { audience: 'enrolling' } as const
const Confirmation = Type.Object({ current_password: Type.String() })
const Enrolment = Type.Object({ current_password: Type.String(), code: Type.String({ maxLength: 100 }) })

/** The second factor: setting it up, its recovery codes, and turning it off. */
export function twoFactorPages(pages: Pages, options: PageOptions): void {
  const { twoFactors, passwords, access, cookies, baseUrl } = options

  const showOff = async (reply: FastifyReply, member: Member, errors: object, status = 200) => {
    const seed = await pendingSeed(member)
    const uri = enrolmentUri(seed, member.account, `gitgate ${new URL(baseUrl()).host}`).reveal()
    const grouped = (seed.reveal().match(/.{1,4}/g) ?? []).join(' ')
    // Dark on light in either colour scheme, or cameras don't find it.
    const qr = await qrCode(uri, { type: 'svg', margin: 2, color: { dark: '#000000', light: '#ffffff' } })
    return reply.page('two-factor-off', { qr: qr.trim(), uri, seed: grouped, errors }, status)
  }
  const showOn = async (reply: FastifyReply, { account }: Member, errors: object, status = 200) => {
    const left = (await twoFactors.find(account.id))?.recoveryCodes.length ?? 0
    return reply.page('two-factor-on', { left, errors }, status)
  }
  const showCodes = async (request: FastifyRequest, reply: FastifyReply, member: SessionAccess) => {
    const codes = (await takeOneTimeDisplay<string[]>(member, 'recovery codes', access.now())) ?? []
    if (codes.length === 0) return reply.redirect(PATH, 303)
    const text = `Recovery codes for ${memberOf(request).account.username} at ${baseUrl()}. Each works once.\n\n${codes.join('\n')}\n`
    return reply.page('recovery-codes', {
      codes,
      download: `data:text/plain;charset=utf-8,${encodeURIComponent(text)}`,
    })
  }

  const passCodes = (visit: SessionAccess, codes: readonly Secret[]) =>
    putOneTimeDisplay(
      visit,
      'recovery codes',
      codes.map((code) => code.reveal()),
      access.now(),
    )

  pages.get(PATH, { config }, (request, reply) => {
    const member = memberOf(request)
    return member.account.twoFactorEnabled ? showOn(reply, member, {}) : showOff(reply, member, {})
  })

  pages.post(PATH, { config, schema: { body: Enrolment } }, async (request, reply) => {
    const member = memberOf(request)
    const { account, sessions, auditContext } = member
    refuseSecond(account)
    const seed = await pendingSeed(member)
    const step = matchTotp(seed, request.body.code.replace(/\s/g, ''), access.now())
    if (step === undefined) {
      const hint = 'The code doesn’t match this secret. Check that the clock of your phone is right.'
      return showOff(reply, member, { code: hint }, 422)
    }
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return showOff(reply, member, { current_password: problem }, 422)
    const recoveryCodes = mintRecoveryCodes()
    await enableTwoFactor(
      options.twoFactors,
      auditContext,
      passwords,
      account,
      { seed, recoveryCodes },
      access.now(),
      step,
    )
    const session = await beginSession(request, reply, { ...account, twoFactorEnabled: true }, 'totp', cookies, options)
    await passCodes({ session, sessions }, recoveryCodes)
    return reply.redirect(CODES, 303)
  })

  pages.get(CODES, { config }, (request, reply) => showCodes(request, reply, memberOf(request)))

  pages.post(CODES, { config, schema: { body: Confirmation } }, async (request, reply) => {
    const member = memberOf(request)
    if (!member.account.twoFactorEnabled) return reply.redirect(PATH, 303)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return showOn(reply, member, { renew: problem }, 422)
    if (!(await isFirstSubmission(member, request))) {
      await flash(
        member,
        'This form was already submitted. If you didn’t see the new codes, generate them again.',
        'bad',
      )
      return reply.redirect(PATH, 303)
    }
    await passCodes(
      member,
      await renewRecoveryCodes(options.twoFactors, member.auditContext, passwords, member.account),
    )
    return reply.redirect(CODES, 303)
  })

  pages.post(`${PATH}/disable`, { config, schema: { body: Confirmation } }, async (request, reply) => {
    const member = memberOf(request)
    const { account, sessions, auditContext } = member
    if (!account.twoFactorEnabled) return reply.redirect(PATH, 303)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return showOn(reply, member, { disable: problem }, 422)
    await options.twoFactors.disable(auditContext, account.id)
    const session = await beginSession(
      request,
      reply,
      { ...account, twoFactorEnabled: false },
      'password',
      cookies,
      options,
    )
    await flash({ session, sessions }, 'Two-factor authentication is off. You were signed out everywhere else.')
    return reply.redirect(PATH, 303)
  })
}

/** The seed that is being set up. It stays the same until it is confirmed, so that a mistyped code needs no second scan. */
async function pendingSeed(member: Member): Promise<Secret> {
  const { seed } = await readSessionState(member)
  if (seed !== undefined) return new Secret(seed, 'two-factor seed')
  const newSeed = mintSeed()
  await updateSessionState(member, { seed: newSeed.reveal() })
  return newSeed
}
