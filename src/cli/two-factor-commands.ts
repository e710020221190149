import type { Command } from 'commander'
import type { Enrolment } from '../domain/accounts/two-factor.js'
import { enableTwoFactor, enrol, refuseSecond, matchTotp, verifySecondFactor } from '../domain/accounts/two-factor.js'
import { GitgateError } from '../core/errors.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, requireAccount, withStore } from './context.js'
import { isInteractive, readSecret } from './terminal-input.js'

const ISSUER = 'gitgate'

/** `gitgate user 2fa …`: two-factor authentication of accounts. */
export function addTwoFactorCommands(user: Command, context: CliContext): void {
  const group = user.command('2fa').description('two-factor authentication; with it on, Git accepts only tokens')

  addCommand(
    group,
    'enable <name>',
    'turn it on; prints the secret and ten recovery codes once',
    'gitgate user 2fa enable alice',
  ).action((username: string, { json }: { json?: true }) =>
    withStore(context, async (cli) => {
      const account = await requireAccount(cli, username)
      refuseSecond(account)
      const enrolment = enrol(account, ISSUER)
      if (json !== true) await showEnrolment(cli, enrolment)
      // A code proves that the app has the secret. A script has nobody to ask.
      if (isInteractive(cli.terminal)) await confirmEnrolment(cli, enrolment)
      await enableTwoFactor(cli.store.twoFactors, cli.auditContext, cli.passwords, account, enrolment, cli.clock())
      if (json === true) cli.output.json(enrolmentEntity(enrolment))
      else cli.output.note(`Two-factor authentication is on for ${account.username}. Git now accepts only tokens.`)
    }),
  )

  addCommand(
    group,
    'disable <name>',
    'turn it off and delete the secret and the recovery codes',
    'gitgate user 2fa disable alice',
  ).action((username: string, { json }: { json?: true }) =>
    withStore(context, async (cli) => {
      const account = await requireAccount(cli, username)
      await cli.store.twoFactors.disable(cli.auditContext, account.id)
      if (json === true) {
        cli.output.json({ username: account.username, two_factor_enabled: false })
        return
      }
      cli.output.note(`Two-factor authentication is off for ${account.username}.`)
    }),
  )

  addCommand(
    group,
    'status <name>',
    'show whether it is on and how many recovery codes are left',
    'gitgate user 2fa status alice',
  ).action((username: string, { json }: { json?: true }) =>
    withStore(context, async (cli) => {
      const account = await requireAccount(cli, username)
      const left = (await cli.store.twoFactors.find(account.id))?.recoveryCodes.length ?? 0
      const status = {
        username: account.username,
        two_factor_enabled: account.twoFactorEnabled,
        recovery_codes_left: left,
      }
      if (json === true) {
        cli.output.json(status)
        return
      }
      cli.output.answer(account.twoFactorEnabled ? `on, ${left} recovery codes left` : 'off')
    }),
  )

  addCommand(
    group,
    'verify <name>',
    'check a code from standard input, for example at a help desk; uses up a recovery code',
    'echo 123456 | gitgate user 2fa verify alice',
  ).action((username: string, { json }: { json?: true }) =>
    withStore(context, async (cli) => {
      const account = await requireAccount(cli, username)
      const code = await readSecret(cli.terminal, 'code')
      const verdict = await verifySecondFactor(
        cli.store.twoFactors,
        cli.auditContext,
        cli.passwords,
        account,
        code,
        cli.clock(),
      )
      if (verdict === 'wrong') throw new GitgateError('forbidden', 'the code is wrong, or was already used')
      if (json === true) {
        cli.output.json({ username: account.username, verified_by: verdict })
        return
      }
      cli.output.answer(verdict === 'totp' ? 'valid' : 'valid recovery code, now used up')
    }),
  )
}

async function showEnrolment({ output, terminal }: OpenCli, enrolment: Enrolment): Promise<void> {
  output.fields([
    ['Secret', enrolment.seed.reveal()],
    ['URI', enrolment.uri.reveal()],
  ])
  if (terminal.stdout.isTTY === true) {
    const { toString: qrCode } = await import('qrcode')
    output.answer(await qrCode(enrolment.uri.reveal(), { type: 'terminal', small: true }))
  }
  output.answer('Recovery codes. Each works once; keep them away from your phone:')
  for (const code of enrolment.recoveryCodes) output.answer(`  ${code.reveal()}`)
}

async function confirmEnrolment(cli: OpenCli, enrolment: Enrolment): Promise<void> {
  const code = await readSecret(cli.terminal, 'Code from the app')
  if (matchTotp(enrolment.seed, code.reveal().replace(/\s/g, ''), cli.clock()) === undefined) {
    throw new GitgateError('forbidden', 'the code is wrong; nothing was changed. Check the clocks and try again')
  }
}

function enrolmentEntity({ seed, uri, recoveryCodes }: Enrolment) {
  return {
    secret: seed.reveal(),
    otpauth_uri: uri.reveal(),
    recovery_codes: recoveryCodes.map((code) => code.reveal()),
  }
}
