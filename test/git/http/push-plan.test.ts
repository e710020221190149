import fc from 'fast-check'
import t from 'tap'
import type { RefDecision } from '../../../src/domain/access/decide.js'
import type { PushCommand, PushHead } from '../../../src/protocol/push-head.js'
import { commandKind } from '../../../src/protocol/push-head.js'
import { isBranch } from '../../../src/protocol/pattern.js'
import type { PushPlan } from '../../../src/git/http/push-plan.js'
import { planPush } from '../../../src/git/http/push-plan.js'
import { reportsStatus } from '../../../src/protocol/push-report.js'
import { command, ONE, ZERO } from '../../protocol/push-bytes.js'

const NOTHING = Buffer.alloc(0)

function head(commands: readonly PushCommand[], capabilities: readonly string[], isSigned = false): PushHead {
  const parts = { shallow: NOTHING, capabilities: NOTHING, options: NOTHING }
  return { commands, capabilities: new Set(capabilities), isSigned, bytes: NOTHING, parts }
}

/** A command and its decision, in short: `+` creates, `-` deletes; `!` is refused, `?` is allowed as a fast-forward. */
function read(text: string): { command: PushCommand; decision: RefDecision } {
  const [, sign = '', name = '', mark = ''] = /^([+-]?)(\w+)([!?]?)$/.exec(text) ?? []
  const ref = name.startsWith('v') ? `refs/tags/${name}` : `refs/heads/${name}`
  const decisions: Readonly<Record<string, RefDecision>> = {
    '!': { kind: 'refuse', reason: `${name} is refused` },
    '?': { kind: 'allow-fast-forward', reason: `${name} is forced` },
  }
  const ids = sign === '+' ? ([ZERO, ONE] as const) : sign === '-' ? ([ONE, ZERO] as const) : []
  return { command: command(ref, ...ids), decision: decisions[mark] ?? { kind: 'allow' } }
}

const nameOf = ({ ref }: PushCommand): string => ref.replace(/^refs\/(heads|tags)\//, '')

/** A plan in short: each run with `name?` for what must be a fast-forward, and the refusals with their reasons. */
function reported(plan: PushPlan): unknown {
  if (plan.kind === 'pass') return 'pass'
  const refusals = plan.refusals.map(({ command, reason }) => `${nameOf(command)}: ${reason}`)
  if (plan.kind === 'refuse') return refusals
  const runs = plan.runs.map(({ commands, fastForwards }) => {
    const guarded = new Set(fastForwards.map(({ command }) => command))
    return commands.map((one) => `${nameOf(one)}${guarded.has(one) ? '?' : ''}`).join(' ')
  })
  return { runs, refusals }
}

function plan(text: string, capabilities = 'report-status', isSigned = false): unknown {
  const parts = text.split(' ').map(read)
  const commands = parts.map(({ command }) => command)
  return reported(
    planPush(
      head(commands, capabilities.split(' '), isSigned),
      parts.map(({ decision }) => decision),
    ),
  )
}

t.test('what is allowed goes on untouched, whatever the client can do', async (t) => {
  for (const capabilities of ['report-status', 'report-status-v2 atomic', 'side-band-64k', 'quiet']) {
    t.equal(plan('a', capabilities), 'pass')
    t.equal(plan('a +b -c v1', capabilities), 'pass')
    t.equal(plan('a b', capabilities, true), 'pass')
  }
})

t.test('where all is refused, each ref has its own reason, and nothing runs', async (t) => {
  const refusals = ['a: a is refused', 'b: b is refused', 'v1: v1 is refused']
  for (const capabilities of ['report-status', 'atomic report-status', 'quiet'])
    t.strictSame(plan('a! +b! -v1!', capabilities), refusals, capabilities)
  t.strictSame(plan('a! +b! -v1!', 'report-status', true), refusals)
})

t.test('what is refused is cut out, and the rest runs', async (t) => {
  for (const capabilities of ['report-status', 'report-status-v2']) {
    t.strictSame(plan('a! b +c! -d v1', capabilities), {
      runs: ['b d v1'],
      refusals: ['a: a is refused', 'c: c is refused'],
    })
    t.strictSame(plan('-a b!', capabilities), { runs: ['a'], refusals: ['b: b is refused'] })
  }
})

t.test('fast-forwards are a condition of one run, with what can’t be forced beside them', async (t) => {
  t.strictSame(plan('a?'), { runs: ['a?'], refusals: [] })
  t.strictSame(plan('a? b?', 'report-status atomic'), { runs: ['a? b?'], refusals: [] })
  t.strictSame(plan('+n a? -d v1 b?'), { runs: ['n a? d v1 b?'], refusals: [] }, 'in the client’s order')
  t.strictSame(plan('+n a? x!'), { runs: ['n a?'], refusals: ['x: x is refused'] })
  t.strictSame(plan('+n a?', 'report-status', true), { runs: ['n a?'], refusals: [] })
})

t.test('branches that may be forced run first, those that may not after them', async (t) => {
  t.strictSame(plan('a? b'), { runs: ['b', 'a?'], refusals: [] })
  t.strictSame(plan('a? +n b -d v1 c? x!'), { runs: ['n b d v1', 'a? c?'], refusals: ['x: x is refused'] })
})

t.test('an atomic push is done whole or not at all', async (t) => {
  const atomic = 'report-status atomic'
  t.strictSame(plan('a! b +c', atomic), ['a: a is refused', 'b: atomic push failed', 'c: atomic push failed'])
  t.strictSame(plan('a! b?', atomic), ['a: a is refused', 'b: atomic push failed'])
  const mixed = 'this atomic push mixes refs that may and may not be forced; push them apart'
  t.strictSame(plan('a? b +c', atomic), [`a: ${mixed}`, `b: ${mixed}`, `c: ${mixed}`])
})

t.test('so is a signed push, since nothing can be taken from it', async (t) => {
  const others = 'signed push holds a refused ref; nothing was changed'
  t.strictSame(plan('a! b', 'report-status', true), ['a: a is refused', `b: ${others}`])
  t.strictSame(plan('a! b', 'report-status atomic', true), ['a: a is refused', `b: ${others}`])
  const mixed = 'this signed push mixes refs that may and may not be forced; push them apart'
  t.strictSame(plan('a? b', 'report-status', true), [`a: ${mixed}`, `b: ${mixed}`])
})

// Of an empty answer git makes a success.
t.test('a client that takes no report gets all or nothing', async (t) => {
  const others = 'other refs of this push are refused'
  t.strictSame(plan('a! b', 'side-band-64k'), ['a: a is refused', `b: ${others}`])
  t.strictSame(plan('a? b', 'quiet'), ['a: a is forced', `b: ${others}`])
  t.strictSame(plan('a?', 'quiet'), ['a: a is forced'])
  t.equal(reportsStatus(head([], ['report-status-v2'])), true)
  t.equal(reportsStatus(head([], ['report', 'side-band-64k'])), false)
})

// Attack: a push of very many refs, of which each was looked for among all the others: the gate served nobody meanwhile.
t.test('a push of 70,000 refs is planned by looking at each of them once', async (t) => {
  const parts = Array.from({ length: 70_000 }, (_, index) => read(index % 2 === 0 ? `+n${index}` : `a${index}?`))
  const commands = parts.map(({ command }) => command)
  const decisions = parts.map(({ decision }) => decision)
  const isSame = (some: readonly PushCommand[], others: readonly PushCommand[]) =>
    some.length === others.length && some.every((one, index) => one === others[index])
  const guarded = commands.filter((_, index) => index % 2 === 1)

  const plan = planPush(head(commands, ['report-status']), decisions)
  const [run, ...others] = plan.kind === 'run' ? plan.runs : []
  t.equal(others.length, 0)
  t.ok(run !== undefined && isSame(run.commands, commands), 'all run, in their order')
  const conditions = (run?.fastForwards ?? []).map(({ command }) => command)
  t.ok(isSame(conditions, guarded), 'the updates under their condition')

  const silent = planPush(head(commands, ['quiet']), decisions)
  const refusals = silent.kind === 'refuse' ? silent.refusals : []
  t.ok(
    isSame(
      refusals.map(({ command }) => command),
      commands,
    ),
    'or all are refused, in their order',
  )
  t.match(refusals.slice(0, 2), [{ reason: 'other refs of this push are refused' }, { reason: 'a1 is forced' }])
})

const someParts = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom('', '+', '-'),
    fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'v1', 'v2'),
    fc.constantFrom('', '!', '?'),
  ),
  { minLength: 1, maxLength: 8, selector: ([, name]) => name },
)
// Only an update of a branch is allowed under a condition.
const somePush = someParts.map((parts) =>
  parts.map(([sign, name, mark]) =>
    read(`${sign}${name}${mark === '?' && (sign !== '' || name.startsWith('v')) ? '' : mark}`),
  ),
)
const someCapabilities = fc.subarray(['report-status', 'report-status-v2', 'atomic', 'side-band-64k'])

t.test('every command runs once or is refused once, and none that is refused ever runs', async () => {
  fc.assert(
    fc.property(somePush, someCapabilities, fc.boolean(), (push, capabilities, isSigned) => {
      const commands = push.map(({ command }) => command)
      const decisions = push.map(({ decision }) => decision)
      const plan = planPush(head(commands, capabilities, isSigned), decisions)
      const kindOf = (one: PushCommand) => decisions[commands.indexOf(one)]?.kind
      if (plan.kind === 'pass') return decisions.every(({ kind }) => kind === 'allow')
      const runs = plan.kind === 'run' ? plan.runs : []
      const run = runs.flatMap(({ commands }) => commands)
      const refused = plan.refusals.map(({ command }) => command)
      const inOrder = (some: readonly PushCommand[]) =>
        some.every((one, index) => index === 0 || commands.indexOf(some[index - 1]!) < commands.indexOf(one))
      return (
        [...run, ...refused].length === commands.length &&
        new Set([...run, ...refused]).size === commands.length &&
        run.every((one) => kindOf(one) !== 'refuse') &&
        plan.refusals.every(({ reason }) => reason !== '') &&
        inOrder(refused) &&
        runs.every(({ commands }) => commands.length > 0 && inOrder(commands)) &&
        // Nothing is taken from a whole, and nothing is cut where nobody would learn of it.
        (refused.length === commands.length ||
          (!isSigned && !capabilities.includes('atomic') && reportsStatus(head([], capabilities))) ||
          (refused.length === 0 && runs.length === 1))
      )
    }),
    { numRuns: 2_000 },
  )
})

t.test('a condition holds for exactly the branches of a run that may not be forced', async () => {
  fc.assert(
    fc.property(somePush, someCapabilities, fc.boolean(), (push, capabilities, isSigned) => {
      const plan = planPush(
        head(
          push.map(({ command }) => command),
          capabilities,
          isSigned,
        ),
        push.map(({ decision }) => decision),
      )
      if (plan.kind !== 'run') return true
      const guarded = new Set(
        push.filter(({ decision }) => decision.kind === 'allow-fast-forward').map(({ command }) => command),
      )
      return plan.runs.every(({ commands, fastForwards }) => {
        const wanted = commands.filter((one) => guarded.has(one))
        const updates = commands.filter((one) => commandKind(one) === 'update' && isBranch(one.ref))
        const isExact =
          fastForwards.length === wanted.length && fastForwards.every(({ command }) => wanted.includes(command))
        // Git's own check is about all branches that a run updates.
        return isExact && (wanted.length === 0 || updates.every((one) => guarded.has(one)))
      })
    }),
    { numRuns: 2_000 },
  )
})
