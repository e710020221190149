import t from 'tap'
import { decideRef } from '../../src/access/decide-ref.js'
import type { Role } from '../../src/access/grant.js'
import { describeProtection, parseProtection } from '../../src/access/protection.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'
import { decide, MAIN, protection, pusher, REPOSITORY, TAG, told } from './pushers.js'

t.test('a protection says who may do what, by their role', async (t) => {
  const main = 'refs/heads/main is protected:'
  const admin = `${main} only an admin may`
  const nobody = `${main} nobody may`
  const table: readonly (readonly [levels: string, role: Role, ...decisions: string[]])[] = [
    ['main write write write', 'write', 'yes', 'yes', 'yes'],
    ['main write nobody admin', 'write', 'yes', `ff: ${nobody} force-push (rule 7)`, `no: ${admin} delete it (rule 7)`],
    ['main write nobody admin', 'admin', 'yes', `ff: ${nobody} force-push (rule 7)`, 'yes'],
    ['main write admin nobody', 'admin', 'yes', 'yes', `no: ${nobody} delete it (rule 7)`],
    ['main admin write write', 'write', `no: ${admin} create it (rule 7)`, `no: ${admin} push to it (rule 7)`, 'yes'],
    ['main admin admin admin', 'admin', 'yes', 'yes', 'yes'],
    [
      'main nobody nobody nobody',
      'admin',
      `no: ${nobody} create it (rule 7)`,
      `no: ${nobody} push to it (rule 7)`,
      `no: ${nobody} delete it (rule 7)`,
    ],
    // Whoever forces pushes, too.
    [
      'main nobody write write',
      'admin',
      `no: ${nobody} create it (rule 7)`,
      `no: ${nobody} push to it (rule 7)`,
      'yes',
    ],
  ]
  for (const [levels, role, ...decisions] of table)
    t.strictSame(decide(MAIN, { role, protections: [protection(levels)] }), decisions, `${role}: ${levels}`)
  const tags = { protections: [protection('refs/tags/* write admin admin')] }
  t.equal(decide(TAG, tags)[1], 'no: refs/tags/* is protected: only an admin may move it (force) (rule 7)')
  const closed = { role: 'admin', protections: [protection('refs/tags/* nobody write write')] } as const
  t.equal(decide(TAG, closed)[1], 'no: refs/tags/* is protected: nobody may move it (force) (rule 7)')
  t.strictSame(decide('refs/heads/main2', { protections: [protection('main nobody nobody nobody')] }), [
    'yes',
    'yes',
    'yes',
  ])
  const elsewhere = protection('main nobody nobody nobody', { repositories: 'other/**' })
  t.strictSame(decide(MAIN, { protections: [elsewhere] }), ['yes', 'yes', 'yes'])
})

t.test('who only reads does not pass a protection either', async (t) => {
  const { token, ...rest } = pusher({ protections: [protection('main write write write')] })
  const decision = decideRef('update', MAIN, { token, ...rest, role: 'read' })
  t.equal(told(decision), 'no: refs/heads/main is protected: only a writer may push to it (rule 7)')
})

t.test('a protection holds in any case of letters, of the ref and of the repository', async (t) => {
  const main = protection('Main nobody nobody nobody', { repositories: 'Team/**' })
  for (const ref of ['main', 'Main', 'MAIN', 'mAiN']) {
    t.ok(main.matches(REPOSITORY, `refs/heads/${ref}`), ref)
    t.ok(main.matches(parseRepositoryPath('TEAM/App')!, `refs/heads/${ref}`), ref)
  }
  t.ok(main.matches(REPOSITORY, 'REFS/HEADS/MAIN'))
  t.notOk(main.matches(REPOSITORY, 'refs/heads/main/2'))
  t.ok(protection('café/* nobody nobody nobody').matches(REPOSITORY, 'refs/heads/CAFÉ/X'))
  t.match(decide('refs/heads/MAIN', { protections: [main] })[1], /^no: refs\/heads\/Main is protected/)
})

t.test('a protection is read from what is typed, and told in a few words', async (t) => {
  const levels = { push: 'write', force: 'nobody', delete: 'admin' }
  const parsed = parseProtection('team/**', 'release/*', levels)
  t.strictSame(parsed, { repositories: 'team/**', refs: 'refs/heads/release/*', ...levels })
  const text = 'refs/heads/release/* of team/** is protected (rule 3): push write, force nobody, delete admin'
  t.equal(describeProtection({ id: 3, ...parsed }), text)
  for (const wrong of ['', 'Write', 'read', 'none', 'everybody', 'constructor']) {
    for (const verb of ['push', 'force', 'delete'])
      t.throws(() => parseProtection('**', 'main', { ...levels, [verb]: wrong }), {
        code: 'invalid',
        message: /the levels are write, admin, nobody$/,
      })
  }
  t.throws(() => parseProtection('/team', 'main', levels), { code: 'invalid', message: /pattern of repositories/ })
  t.throws(() => parseProtection('team/*', 'a b', levels), { code: 'invalid', message: /pattern of refs/ })
})
