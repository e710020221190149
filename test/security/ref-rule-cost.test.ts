// Attacks on the time that a push costs the gate: patterns and names that agree for long, and more protections or refs than
// anybody needs. 40 kB stalled everybody for 32 s, 1,500 protections of somebody else's repository for 9 s.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { AccessMemory } from '../../src/domain/access/memory.js'
import { decideRef } from '../../src/domain/access/decide.js'
import { refProtections } from '../../src/domain/access/protection.js'
import { mapInSlices } from '../../src/core/event-loop.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'
import { RepositorySets } from '../../src/protocol/repository-sets.js'
import type { RefRule, Restrictions } from '../../src/domain/tokens/restriction.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { createWorld } from '../acceptance/world.js'
import { openTemporaryStore, NOON } from '../storage/temporary-store.js'
import { turnsDuring } from './turns.js'

const REPOSITORY = parseRepositoryPath('team/app')!
const LEVELS = { push: 'nobody', force: 'nobody', delete: 'nobody' } as const
const numbered = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index))

// Attack: 100 rules that differ from the names of refs in their last letter only.
t.test('a token of 100 hostile rules does not slow its push down', async (t) => {
  const rules = numbered(100, (index) => `*${'a'.repeat(130 + index)}b*`)
  const pusher = {
    token: { name: 'x', restrictions: parseRestrictions([], rules) },
    role: 'write',
    protections: refProtections(REPOSITORY, []),
  } as const
  const refs = numbered(10, (index) => `refs/heads/${index}${'a'.repeat(3_900)}`)
  const before = process.cpuUsage()
  for (const ref of refs) t.equal(decideRef('create', ref, pusher).kind, 'refuse')
  // It takes 25 ms; to try each place again took 5 s.
  t.ok(process.cpuUsage(before).user < 1_000_000)
})

// Attack: 20,000 refs, each compared with as many patterns as a repository can have.
t.test('a push of 20,000 refs lets others run in between', async (t) => {
  const protections = refProtections(
    REPOSITORY,
    numbered(500, (id) => ({ id, repositories: 'team/app', refs: `refs/heads/*${id}*x*`, ...LEVELS })),
  )
  const pusher = { token: undefined, role: 'write', protections } as const
  const refs = numbered(20_000, (index) => `refs/heads/branch-${index}`)
  const { turns, longestMs } = await turnsDuring(() => mapInSlices(refs, (ref) => decideRef('create', ref, pusher)))
  t.ok(turns > 20, `${turns} turns`)
  t.ok(longestMs < 200, `${longestMs} ms`)
})

// Attack: a token limited by 100 patterns, each of which is compared with every repository: 5 s for 10,000 of them.
t.test('a token of many repository patterns lets others run in between', async (t) => {
  const paths = numbered(3_000, (index) => parseRepositoryPath(`team/${'a'.repeat(30)}${index}`)!).toSorted()
  const sets = RepositorySets.of(paths)
  const patterns = numbered(100, (index) => `**/*a*a*a*b${index}*`)
  const { turns, longestMs } = await turnsDuring(() => sets.prepare(patterns))
  t.ok(turns > 5, `${turns} turns`)
  t.ok(longestMs < 200, `${longestMs} ms`)
})

// Attack: whoever owns a repository protects thousands of its refs, so that each push of others looks at them.
t.test('the protections of other repositories are not read, and those of one once', async (t) => {
  const { access, protections } = openTemporaryStore(t)
  for (let index = 0; index < 20; index += 1)
    await protections.put(GATE_CONTEXT, { repositories: 'mallory/app', refs: `refs/heads/${index}`, ...LEVELS }, NOON)
  await protections.put(GATE_CONTEXT, { repositories: 'Team/*', refs: 'refs/heads/main', ...LEVELS }, NOON)
  const reads: number[] = []
  const memory = new AccessMemory({
    ...access,
    async listProtectionsFor(repository) {
      const found = await access.listProtectionsFor(repository)
      reads.push(found.length)
      return found
    },
  })
  for (let push = 0; push < 3; push += 1) {
    const covering = await (await memory.current()).protectionsOf(REPOSITORY)
    t.equal(covering('refs/heads/MAIN').length, 1)
    t.equal(covering('refs/heads/1').length, 0)
  }
  t.strictSame(reads, [1])
})

t.test('a protection of one ref costs nothing for the others', async (t) => {
  let looks = 0
  const list = numbered(500, (id) => ({ id, repositories: 'team/app', refs: `refs/heads/${id}`, ...LEVELS }))
  const counting = list.map((one) =>
    Object.defineProperty({ ...one }, 'refs', { get: () => ((looks += 1), one.refs), enumerable: true }),
  )
  const covering = refProtections(REPOSITORY, counting)
  for (let index = 0; index < 1_000; index += 1) covering(`refs/heads/x${index}`)
  t.equal(looks, 500)
})

t.test('a repository takes 500 protections, which can still be changed', async (t) => {
  const { protections } = openTemporaryStore(t)
  const put = (refs: string, repositories = 'team/app') =>
    protections.put(GATE_CONTEXT, { repositories, refs, ...LEVELS }, NOON)
  for (let index = 0; index < 500; index += 1) await put(`refs/heads/${index}`)
  for (const repositories of ['team/app', 'Team/App'])
    await t.rejects(put('refs/heads/500', repositories), {
      code: 'conflict',
      message: /^repository pattern "team\/app" has 500 protected refs; the limit is 500/i,
    })
  await put('refs/heads/0')
  await put('refs/heads/500', 'team/web')
  await protections.remove(GATE_CONTEXT, 'team/app', 'refs/heads/0')
  await put('refs/heads/500')
})

// Earlier versions stored what is refused now.
t.test('stored patterns beyond the limits hold, and can be removed', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'write', 'team/**')
  const folder = await world.git.init('mine')
  await world.git.commit(folder, 'a.txt', 'a\n')
  await world.createRepository('team/app')
  const long = `refs/heads/${'*a'.repeat(300)}*`
  const rule: RefRule = { pattern: long, verbs: ['create'] }
  const restrictions: Restrictions = {
    repositories: [`**/${'*a*'.repeat(100)}`, '**/*p*'],
    refs: numbered(150, () => rule),
    within: null,
  }
  const { secret } = await world.issue('alice', ['write_repository'], { restrictions })
  const refs = `refs/heads/${'*b'.repeat(300)}*`
  await world.store.protections.put(GATE_CONTEXT, { repositories: 'team/app', refs, ...LEVELS }, world.now)
  const push = (name: string) =>
    world.git.run(['push', world.remote('team/app', secret.reveal()), `HEAD:refs/heads/${name}`], {
      cwd: folder,
      status: 'any',
    })
  t.match(await push('main'), { status: 1, stderr: /can only push to/ })
  t.match(await push('ab'.repeat(60)), { status: 1, stderr: /can only push to/ })
  t.equal((await push(`${'a'.repeat(150)}/${'a'.repeat(153)}`)).status, 0)
  const cli = new GitgateCli(world.folder)
  t.match(await cli.run(['--data', `${world.folder}/data`, 'protect', 'remove', 'team/app', refs]), { status: 0 })
})
