import type { Command } from 'commander'
import { ABILITIES, explainAccess, parseRef } from '../domain/access/explain.js'
import { parseGrant, parseSubject, subjectsOf } from '../domain/access/grant.js'
import { describeProtection } from '../domain/access/protection.js'
import { GitgateError } from '../core/errors.js'
import { requireRepositoryPath } from '../protocol/repository-path.js'
import { REF_VERBS } from '../domain/tokens/restriction.js'
import type { CliContext } from './context.js'
import { addCommand, isBeforeUpstream, requireAccount, withStore } from './context.js'

type JsonOption = { json?: true }

/** `gitgate access …`: grants of roles on repositories. */
export function addAccessCommands(program: Command, context: CliContext): void {
  const group = program.command('access').description('manage who can use which repositories')

  addCommand(
    group,
    'grant <subject> <role> <pattern>',
    'give a user, @all (signed-in users) or @anonymous the role read, write or admin',
    "gitgate access grant alice write 'team/**'",
  ).action((subject: string, role: string, pattern: string, { json }: JsonOption) =>
    withStore(context, async (cli) => {
      const draft = parseGrant(subject, role, pattern)
      if (!draft.subject.startsWith('@')) await requireAccount(cli, subject)
      const grant = await cli.store.grants.put(cli.auditContext, draft, cli.clock())
      if (json === true) {
        cli.output.json(grant)
        return
      }
      cli.output.note(`Granted ${grant.subject} ${grant.role} access to ${grant.pattern}.`)
    }),
  )

  addCommand(
    group,
    'revoke <subject> <pattern>',
    'revoke a grant; takes effect immediately',
    "gitgate access revoke alice 'team/**'",
  ).action((subject: string, pattern: string, { json }: JsonOption) =>
    withStore(context, async ({ store, auditContext, output }) => {
      const parsed = parseSubject(subject)
      if (!(await store.grants.remove(auditContext, parsed, pattern))) {
        throw new GitgateError('not-found', `${parsed} has no grant on ${pattern}; to list grants: gitgate access list`)
      }
      if (json === true) {
        output.json({ subject: parsed, pattern, revoked: true })
        return
      }
      output.note(`Revoked the grant of ${parsed} on ${pattern}.`)
    }),
  )

  addCommand(group, 'list', 'list grants', 'gitgate access list').action(({ json }: JsonOption) =>
    withStore(context, async ({ store, output }) => {
      const grants = await store.grants.list()
      if (json === true) {
        output.json(grants)
        return
      }
      output.table(
        ['PATTERN', 'SUBJECT', 'ROLE'],
        grants.map(({ pattern, subject, role }) => [pattern, subject, role]),
        "No grants: accounts can only use the repositories under their own names. Add one: gitgate access grant alice write 'team/**'",
      )
    }),
  )

  addCommand(
    group,
    'explain <user> <repository>',
    'show what an account (or @anonymous) can do with a repository, and which rule says so',
    'gitgate access explain alice team/app --ref main',
  )
    .option('--ref <ref>', 'also show what it can do to this ref: main, refs/tags/v1')
    .action((username: string, repository: string, { json, ref }: JsonOption & { ref?: string }) =>
      withStore(context, async (cli) => {
        const path = requireRepositoryPath(repository, 'upstream')
        const account = username === '@anonymous' ? undefined : await requireAccount(cli, username)
        const { role, rule, blocked, about } = explainAccess(
          { account, repository: path, ref: ref === undefined ? undefined : parseRef(ref) },
          {
            grants: await cli.store.grants.listFor(subjectsOf(account)),
            protections: await cli.store.protections.list(),
            ownsGroup: !(await isBeforeUpstream(cli)),
          },
        )
        if (json === true) {
          const { protectedBy, ...more } = about ?? {}
          const entity = protectedBy === undefined ? {} : { ...more, protected_by: protectedBy }
          cli.output.json({ user: username, repository: path, role, rule, blocked, ...entity })
          return
        }
        cli.output.answer(`${username} ${ABILITIES[role]} ${path}: ${rule}`)
        if (blocked) cli.output.answer(`${username} is blocked, so every request is refused`)
        for (const protection of about?.protectedBy ?? []) cli.output.answer(describeProtection(protection))
        for (const verb of blocked ? [] : REF_VERBS) {
          const reason = about?.verbs[verb]
          if (about !== undefined) cli.output.answer(`${verb} ${about.ref}: ${reason ?? 'allowed'}`)
        }
        if (account !== undefined && role !== 'none') {
          cli.output.note("A token's scopes and limits narrow this further.")
        }
      }),
    )
}
