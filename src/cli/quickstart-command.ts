import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { DAY } from '../core/clock.js'
import type { Flags } from '../config/config.js'
import { GitgateError } from '../core/errors.js'
import { issueRules } from '../domain/policies/settings.js'
import type { Secret } from '../core/secret.js'
import { issueToken } from '../domain/tokens/issue.js'
import { requireRepositoryPath } from '../protocol/repository-path.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, openRepositories, withStore } from './context.js'
import type { ServeFlags } from './serve-command.js'
import { addListenOptions, announce, configurationOf, serve } from './serve-command.js'

const ADMINISTRATOR = 'admin'
const SAMPLE = `${ADMINISTRATOR}/sample`
const TOKEN_DAYS = 30

const README = `# Sample

This repository is served by gitgate. Change something and push: the token in the URL you cloned from
allows both.

    git clone …            needs a token with the scope read_repository or write_repository
    git push               needs write_repository; read_repository is refused, with the reason
`

/** `gitgate quickstart`: the first run creates everything that a first clone needs; later runs only serve. */
export function addQuickstartCommand(program: Command, context: CliContext): void {
  const summary = 'create an administrator, a token and a sample repository on the first run, then serve'
  addListenOptions(addCommand(program, 'quickstart', summary, 'gitgate quickstart')).action((flags: ServeFlags) =>
    withStore(context, async (cli) => {
      const isFirst = await isFirstRun(cli)
      if (isFirst) await refuseTakenGroup(cli, configurationOf(flags))
      // Listen first: if the port is in use, no token is created that nobody gets to see.
      await serve(cli, flags, async (url) => {
        if (isFirst) showFirstClone(cli, url, await setUp(cli, configurationOf(flags)), flags.json)
        else cli.output.note(ALREADY_SET_UP)
        if (!isFirst || flags.json !== true) announce(cli, url, flags.json)
      })
    }),
  )
}

const ALREADY_SET_UP =
  'Already set up, just serving. To create another token: gitgate token create USER --name NAME --scopes write_repository'

/** Whether there are no accounts, or an earlier first run ended before it showed its token. */
async function isFirstRun({ store }: OpenCli): Promise<boolean> {
  const accounts = await store.accounts.list()
  const tokens = await store.tokens.list({})
  return tokens.length === 0 && accounts.every(({ username }) => username === ADMINISTRATOR)
}

/** Refuses existing repositories under `admin/`, which the new administrator would own. */
async function refuseTakenGroup(cli: OpenCli, flags: Flags): Promise<void> {
  const { repos } = cli.config(flags)
  if (!existsSync(repos)) return
  const taken = (await openRepositories(cli, repos))
    .list()
    .filter((path) => path.startsWith(`${ADMINISTRATOR}/`) && path !== SAMPLE)
  if (taken.length === 0) return
  throw new GitgateError(
    'conflict',
    `${repos} holds ${taken.join(', ')}, which the new account ${ADMINISTRATOR} would own; move them, or set up manually: gitgate user add`,
  )
}

/** Creates what a first clone needs. @returns the token */
async function setUp(cli: OpenCli, flags: Flags): Promise<Secret> {
  const now = cli.clock()
  const repositories = await openRepositories(cli, flags.repos)
  const sample = requireRepositoryPath(SAMPLE)
  if (!repositories.has(sample)) await repositories.createSample(sample, README)
  const administrator = { username: ADMINISTRATOR, name: 'Administrator', email: null, admin: true, passwordHash: null }
  const account =
    (await cli.store.accounts.findByUsername(ADMINISTRATOR)) ??
    (await cli.store.accounts.add(cli.auditContext, administrator, now))
  const expiry = new Date(now.getTime() + TOKEN_DAYS * DAY)
  const draft = { name: 'quickstart', scopes: ['write_repository'] as const, expiry }
  return (
    await issueToken(cli.store.tokens, cli.auditContext, account, draft, issueRules(await cli.settings(), now), now)
  ).secret
}

function showFirstClone({ output }: OpenCli, url: string, token: Secret, json: true | undefined): void {
  const clone = new URL(`${url}/${SAMPLE}.git`)
  clone.username = ADMINISTRATOR
  clone.password = token.reveal()
  if (json === true) {
    output.json({ url, username: ADMINISTRATOR, token: token.reveal(), clone_url: clone.href })
    return
  }
  output.answer(
    `Created an administrator (${ADMINISTRATOR}), a repository, and a token valid for ${TOKEN_DAYS} days. To clone the repository:`,
  )
  output.answer(`\ngit clone ${clone.href}\n`)
  output.answer("Copy the token now, you won't see it again. The clone can also push.")
  output.answer(
    `In the browser: ${url}/. To sign in as ${ADMINISTRATOR}, set a password first: gitgate user passwd ${ADMINISTRATOR}`,
  )
}
