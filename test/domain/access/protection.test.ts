import t from 'tap'
import { decideRef } from '../../../src/domain/access/decide.js'
import type { Role } from '../../../src/domain/access/grant.js'
import { describeProtection, parseProtection } from '../../../src/domain/access/protection.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'
import { covers, decide, MAIN, protection, pusher, TAG, reported } from './pushers.js'

t.test('a protection says who may do what, by their role', async (t) => {
  const main = 'refs/heads/main is protected:'
  const admin = `${main} only admins can`
  const nobody = `${main} nobody can`
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
  t.equal(decide(TAG, tags)[1], 'no: refs/tags/* is protected: only admins can move it (force) (rule 7)')
  const closed = { role: 'admin', protections: [protection('refs/tags/* nobody write write')] } as const
  t.equal(decide(TAG, closed)[1], 'no: refs/tags/* is protected: nobody can move it (force) (rule 7)')
  // Two levels are in the way: to be an admin would not help.
  const both = { role: 'write', protections: [protection('refs/tags/* admin nobody write')] } as const
  t.equal(decide(TAG, both)[1], 'no: refs/tags/* is protected: nobody can move it (force) (rule 7)')
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
  t.equal(reported(decision), 'no: refs/heads/main is protected: only writers can push to it (rule 7)')
})

t.test('a protection holds in any case of letters, of the ref and of the repository', async (t) => {
  const main = protection('Main nobody nobody nobody', { repositories: 'Team/**' })
  for (const ref of ['main', 'Main', 'MAIN', 'mAiN']) {
    t.ok(covers(main, `refs/heads/${ref}`), ref)
    t.ok(covers(main, `refs/heads/${ref}`, parseRepositoryPath('TEAM/App')), ref)
  }
  t.ok(covers(main, 'REFS/HEADS/MAIN'))
  t.notOk(covers(main, 'refs/heads/main/2'))
  t.ok(covers(protection('café/* nobody nobody nobody'), 'refs/heads/CAFÉ/X'))
  t.match(decide('refs/heads/MAIN', { protections: [main] })[1], /^no: refs\/heads\/Main is protected/)
})

/** A text in each case of each of its letters. */
function casesOf(text: string): string[] {
  return Array.from(text).reduce<string[]>(
    (starts, letter) => {
      const cases = new Set([letter, letter.toUpperCase(), letter.toLowerCase(), letter === 'Σ' ? 'ς' : letter])
      return starts.flatMap((start) => [...cases].map((one) => start + one))
    },
    [''],
  )
}

// Attack: a branch beside a protected one, whose name differs in a letter of which the lower case depends on the letters
// around it: a capital sigma before a wildcard is the last of its word in the pattern, but not in the name.
t.test('a protection holds in any case of letters whose case is not plain', async (t) => {
  t.equal(casesOf('ΑΣΑ').length, 12)
  for (const typed of casesOf('ΑΣ')) {
    const greek = protection(`refs/heads/${typed}* nobody nobody nobody`)
    for (const name of [...casesOf('ΑΣΑ'), ...casesOf('ΑΣ'), ...casesOf('ΑΣ-2')])
      t.ok(covers(greek, `refs/heads/${name}`), `${typed}*: ${name}`)
    t.notOk(covers(greek, 'refs/heads/ΑΤΑ'))
  }
  const rest = protection('*ΣΑ nobody nobody nobody')
  for (const name of casesOf('ΑΣΑ')) t.ok(covers(rest, `refs/heads/${name}`), `*ΣΑ: ${name}`)
})

t.test('letters that are two in the other case are no fault', async (t) => {
  const holds = (pattern: string, name: string) =>
    covers(protection(`${pattern} nobody nobody nobody`), `refs/heads/${name}`)
  for (const name of ['straße/1', 'STRASSE/1', 'Strasse/1']) t.ok(holds('straße/*', name), name)
  for (const name of ['İ', 'İstanbul', 'i̇stanbul']) t.ok(holds('İ*', name), name)
  for (const name of ['ısparta', 'ISPARTA', 'Isparta']) t.ok(holds('ı*', name), name)
  for (const name of ['ﬁx', 'FIX', 'ŉ', 'ΐ', '\u{10400}']) {
    t.ok(holds('*', name), JSON.stringify(name))
    t.ok(holds(name, name.toUpperCase()), JSON.stringify(name))
  }
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
  t.throws(() => parseProtection('/team', 'main', levels), { code: 'invalid', message: /is not a repository pattern/ })
  t.throws(() => parseProtection('team/*', 'a b', levels), { code: 'invalid', message: /is not a ref pattern/ })
})
