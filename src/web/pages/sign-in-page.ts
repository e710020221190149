import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { SignInVerdict } from '../../domain/access/sign-in.js'
import type { Account } from '../../domain/accounts/account.js'
import { auditEvent, requestActor } from '../../domain/audit/event.js'
import { MAX_CREDENTIAL_BODY } from '../../core/http.js'
import { Secret } from '../../core/secret.js'
import { parseLocalPath } from '../local-path.js'
import { readSessionState, updateSessionState } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { beginSession } from '../principal.js'

const SIGN_IN = '/users/sign_in'
const SECOND_FACTOR = '/users/sign_in/two_factor'
/** Forms of anonymous requests. */
const open = { config: { audience: 'anyone' }, bodyLimit: MAX_CREDENTIAL_BODY } as const
const Query = Type.Object({ return_to: Type.Optional(Type.String()), from: Type.Optional(Type.String()) })

/** Signing in, with a second factor if there is one, and signing out. */
export function signInPages(pages: Pages, options: PageOptions): void {
  const { accounts, signIn, recorder, access, cookies } = options
  const noteRefusal = (request: FastifyRequest, account: Account | undefined, rule: string): void => {
    request.context.record.rule = rule
    const actor = requestActor('web', request.context, account)
    recorder.noteRefusal(auditEvent(actor, access.now(), { action: 'auth.refused', decision: 'refused', rule }))
  }

  pages.get(SIGN_IN, { schema: { querystring: Query }, config: { audience: 'anyone' } }, async (request, reply) => {
    const returnTo = parseLocalPath(request.query.return_to)
    if (request.principal.kind === 'member') return reply.redirect(returnTo ?? '/', 303)
    if (await accounts.isEmpty()) return reply.page('first-run')
    return reply.page('sign-in', { returnTo, from: request.query.from })
  })

  const Credentials = Type.Object({
    login: Type.String(),
    password: Type.String(),
    return_to: Type.Optional(Type.String()),
  })
  pages.post(SIGN_IN, { ...open, schema: { body: Credentials } }, async (request, reply) => {
    const login = request.body.login.trim()
    const returnTo = parseLocalPath(request.body.return_to)
    const verdict = await signIn.checkPassword(login, new Secret(request.body.password, 'password'), request.context.ip)
    if (verdict.kind !== 'right') {
      noteRefusal(request, 'account' in verdict ? verdict.account : undefined, RULES[verdict.kind])
      const status = verdict.kind === 'throttled' ? 429 : verdict.kind === 'busy' ? 503 : 422
      if (verdict.kind === 'throttled') reply.header('Retry-After', String(verdict.seconds))
      return reply.page('sign-in', { login, returnTo, problem: problemOf(verdict) }, status)
    }
    const { account } = verdict
    if (account.twoFactorEnabled) {
      const session = await beginSession(request, reply, account, null, cookies, options)
      await updateSessionState({ session, sessions: options.sessions }, { returnTo })
      return reply.redirect(SECOND_FACTOR, 303)
    }
    await beginSession(request, reply, account, 'password', cookies, options)
    return reply.redirect(returnTo ?? '/', 303)
  })

  pages.get(SECOND_FACTOR, { config: { audience: 'anyone' } }, (request, reply) =>
    request.principal.kind === 'pending-two-factor' ? reply.page('second-factor') : backToSignIn(request, reply),
  )

  const Code = Type.Object({ code: Type.String({ maxLength: 100 }) })
  pages.post(SECOND_FACTOR, { ...open, schema: { body: Code } }, async (request, reply) => {
    const { principal } = request
    if (principal.kind !== 'pending-two-factor') return backToSignIn(request, reply)
    const { account, auditContext } = principal
    const verdict = await signIn.checkCode(
      options.twoFactors,
      auditContext,
      account,
      new Secret(request.body.code, 'code'),
    )
    switch (verdict) {
      case 'wrong':
        noteRefusal(request, account, 'wrong second factor')
        return reply.page(
          'second-factor',
          { problem: 'The code is wrong, or was already used. Wait for the next one.' },
          422,
        )
      case 'throttled':
        noteRefusal(request, account, 'too many second factors')
        return reply.page('second-factor', { problem: 'Too many wrong codes. Try again in 15 minutes.' }, 429)
      case 'totp':
      case 'recovery-code': {
        const { returnTo } = await readSessionState(principal)
        await beginSession(request, reply, account, verdict, cookies, options)
        return reply.redirect(returnTo ?? '/', 303)
      }
    }
  })

  pages.get('/users/sign_out', { config: { audience: 'enrolling' } }, (_request, reply) => reply.page('sign-out'))
  pages.post('/users/sign_out', open, async (request, reply) => {
    const { principal } = request
    if (principal.kind !== 'anonymous')
      await options.sessions.end(principal.auditContext, principal.account.id, principal.session.id)
    cookies.endSession(reply)
    return reply.redirect(`${SIGN_IN}?from=sign_out`, 303)
  })
}

function backToSignIn(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.redirect(request.principal.kind === 'member' ? '/' : SIGN_IN, 303)
}

type Refused = Exclude<SignInVerdict, { readonly kind: 'right' }>

/** The rule that refused a sign-in, for the log and the audit log. */
const RULES: Readonly<Record<Refused['kind'], string>> = {
  wrong: 'wrong password',
  blocked: 'account blocked',
  'token-given': 'token in place of a password',
  throttled: 'too many sign-ins',
  busy: 'too many password checks',
}

function problemOf(verdict: Refused): string {
  switch (verdict.kind) {
    case 'wrong':
      return 'Wrong username or password.'
    case 'blocked':
      return 'This account is blocked. Contact an administrator.'
    case 'token-given':
      return 'This is a token. Tokens are for Git and the API; to sign in here, use the password of your account.'
    case 'throttled': {
      const minutes = Math.ceil(verdict.seconds / 60)
      return `Too many wrong passwords. Try again in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`
    }
    case 'busy':
      return 'The server is busy. Try again in a moment.'
  }
}
