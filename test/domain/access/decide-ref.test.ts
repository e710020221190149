import fc from 'fast-check'
import t from 'tap'
import type { RefDecision } from '../../../src/domain/access/decide.js'
import { decideRef, explainRef } from '../../../src/domain/access/decide.js'
import type { Role } from '../../../src/domain/access/grant.js'
import type { Circumstances } from './pushers.js'
import { decide, KINDS, LEVELS, MAIN, protection, pusher, TAG } from './pushers.js'

t.test('a token does to a ref what its rules say, and is told what they are', async (t) => {
  const only = 'no: token "agent" can only push to'
  const can = 'token "agent" can'
  const table: readonly (readonly [ref: string, rules: string[] | undefined, ...decisions: string[]])[] = [
    [MAIN, undefined, 'yes', 'yes', 'yes'],
    [TAG, undefined, 'yes', 'yes', 'yes'],
    [MAIN, [], 'yes', 'yes', 'yes'],
    [MAIN, ['agent/*'], ...Array<string>(3).fill(`${only} refs/heads/agent/*`)],
    [TAG, ['v1'], ...Array<string>(3).fill(`${only} refs/heads/v1`)],
    [MAIN, ['a', 'a:force', 'b'], ...Array<string>(3).fill(`${only} refs/heads/a, refs/heads/b`)],
    [
      MAIN,
      ['a', 'b', 'c', 'd', 'e'],
      ...Array<string>(3).fill(`${only} refs/heads/a, refs/heads/b, refs/heads/c and 2 more`),
    ],
    [
      MAIN,
      ['main'],
      'yes',
      `ff: ${can} create and update this ref, but not force-push`,
      `no: ${can} create and update this ref, but not delete it`,
    ],
    [
      MAIN,
      ['main:create'],
      'yes',
      `no: ${can} create this ref, but not push to it`,
      `no: ${can} create this ref, but not delete it`,
    ],
    [
      MAIN,
      ['main:update'],
      `no: ${can} update this ref, but not create it`,
      `ff: ${can} update this ref, but not force-push`,
      `no: ${can} update this ref, but not delete it`,
    ],
    [
      MAIN,
      ['main:force'],
      `no: ${can} update and force this ref, but not create it`,
      'yes',
      `no: ${can} update and force this ref, but not delete it`,
    ],
    [
      MAIN,
      ['main:delete'],
      `no: ${can} delete this ref, but not create it`,
      `no: ${can} delete this ref, but not push to it`,
      'yes',
    ],
    [MAIN, ['*:create,force,delete'], 'yes', 'yes', 'yes'],
    [
      MAIN,
      ['main:update,delete'],
      `no: ${can} update and delete this ref, but not create it`,
      `ff: ${can} update and delete this ref, but not force-push`,
      'yes',
    ],
    // Of any other ref than a branch each update counts as forced.
    [
      TAG,
      ['refs/tags/*'],
      'yes',
      `no: ${can} create and update this ref, but not move it (force)`,
      `no: ${can} create and update this ref, but not delete it`,
    ],
    [
      TAG,
      ['refs/tags/*:create,update,delete'],
      'yes',
      `no: ${can} create, update and delete this ref, but not move it (force)`,
      'yes',
    ],
    [
      TAG,
      ['refs/tags/*:force'],
      `no: ${can} update and force this ref, but not create it`,
      'yes',
      `no: ${can} update and force this ref, but not delete it`,
    ],
    [
      'refs/notes/commits',
      ['refs/notes/*'],
      'yes',
      `no: ${can} create and update this ref, but not move it (force)`,
      `no: ${can} create and update this ref, but not delete it`,
    ],
  ]
  for (const [ref, rules, ...decisions] of table)
    t.strictSame(
      decide(ref, rules === undefined ? {} : { rules }),
      decisions,
      `${ref} by ${rules?.join(' ') ?? 'a password'}`,
    )
})

t.test('the token’s rules come first, and a protection holds for tokens and passwords alike', async (t) => {
  const protections = [protection('main nobody nobody nobody')]
  t.match(decide(MAIN, { rules: ['agent/*'], protections })[0], /^no: token "agent" can only push to/)
  t.match(decide(MAIN, { rules: ['main:force'], protections })[1], /^no: refs\/heads\/main is protected/)
  t.match(decide(MAIN, { protections })[1], /^no: refs\/heads\/main is protected/)
})

t.test('a reason stays below 200 bytes, however long the names', async (t) => {
  const [name, long] = ['n'.repeat(255), `${'l'.repeat(200)}/`]
  const protections = [protection(`${long}* nobody nobody nobody`, { id: 123_456 })]
  const refs = [`refs/heads/${long}x`, MAIN, `refs/tags/${long}`]
  const rules = [['agent/*'], [`${long}*`], [`${long}*`, 'refs/*:create,update,delete'], ['main:create,update,delete']]
  for (const one of rules) {
    for (const ref of refs) {
      for (const decision of [...decide(ref, { rules: one, name }), ...decide(ref, { protections })])
        t.ok(Buffer.byteLength(decision) < 200, decision)
    }
  }
})

const RANK = { refuse: 0, 'allow-fast-forward': 1, allow: 2 } as const
const someProtection = fc
  .record({
    refs: fc.constantFrom('main', '*', 'refs/*', 'x'),
    levels: fc.array(fc.constantFrom(...LEVELS), { minLength: 3, maxLength: 3 }),
  })
  .map(({ refs, levels }) => protection(`${refs} ${levels.join(' ')}`))
const someRules = fc.option(
  fc.array(fc.constantFrom('main', '*:force', 'refs/*:delete,update', 'main:delete', 'refs/tags/*:create,force', 'x'), {
    minLength: 1,
    maxLength: 3,
  }),
)
const someCircumstances = fc
  .record({
    rules: someRules,
    role: fc.constantFrom<Role>('write', 'admin'),
    protections: fc.array(someProtection, { maxLength: 3 }),
  })
  .map(({ rules, ...others }): Circumstances => (rules === null ? others : { ...others, rules }))
const someRef = fc.constantFrom(MAIN, TAG, 'refs/heads/x')

t.test('rules and protections only take away, and each of them must allow', async () => {
  fc.assert(
    fc.property(someCircumstances, someRef, fc.constantFrom(...KINDS), (circumstances, ref, kind) => {
      const rank = (given: Circumstances) => RANK[decideRef(kind, ref, pusher(given)).kind]
      const { protections = [], rules, role = 'write' } = circumstances
      const alone = [
        ...protections.map((one) => rank({ role, protections: [one] })),
        rules === undefined ? 2 : rank({ role, rules }),
      ]
      return rank(circumstances) === Math.min(...alone)
    }),
    { numRuns: 2_000 },
  )
})

t.test('what is explained is what is decided; who may not push may nothing', async (t) => {
  fc.assert(
    fc.property(someCircumstances, someRef, (circumstances, ref) => {
      const explained = explainRef(ref, pusher(circumstances))
      const [create, update, remove] = KINDS.map((kind) => decideRef(kind, ref, pusher(circumstances)))
      const reason = (decision: RefDecision | undefined) =>
        decision !== undefined && 'reason' in decision ? decision.reason : null
      const force = explained.update ?? explained.force
      return (
        explained.create === reason(create) &&
        explained.delete === reason(remove) &&
        (ref === TAG ? explained.force : force) === reason(update)
      )
    }),
  )
  const why = "the account can't push to the repository"
  for (const role of ['none', 'read'] as const)
    t.strictSame(explainRef(MAIN, { ...pusher({}), role }), { create: why, update: why, force: why, delete: why })
})
