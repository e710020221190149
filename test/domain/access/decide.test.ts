import t from 'tap'
import { UNLIMITED } from '../../../src/domain/tokens/budget.js'
import { UNRESTRICTED } from '../../../src/domain/tokens/restriction.js'
import type { Identity } from '../../../src/domain/access/authenticate.js'
import type { Circumstances, Decision } from '../../../src/domain/access/decide.js'
import { abilityOf, decide } from '../../../src/domain/access/decide.js'
import type { Role } from '../../../src/domain/access/grant.js'
import { describeRefusal } from '../../../src/domain/access/refusal.js'
import type { Account } from '../../../src/domain/accounts/account.js'
import type { GitRequest, Service } from '../../../src/protocol/git-request.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'
import type { Scope } from '../../../src/domain/tokens/scope.js'
import { NOON } from '../../storage/temporary-store.js'

const REPOSITORY = parseRepositoryPath('team/app')!
const BASE = 'https://git.example'

const alice: Account = {
  id: 1,
  username: 'alice',
  name: 'Alice',
  email: null,
  admin: false,
  state: 'active',
  passwordHash: null,
  twoFactorEnabled: false,
  createdAt: NOON,
}
const anonymous: Identity = { kind: 'anonymous' }
const byPassword: Identity = { kind: 'password', account: alice }

function byToken(...scopes: Scope[]): Identity {
  const never = {
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
    previousId: null,
    description: null,
    restrictions: UNRESTRICTED,
    budget: UNLIMITED,
    spent: { pushes: 0, bytes: 0 },
    parentId: null,
    issuedBy: null,
  }
  const plain = { id: 7, userId: 1, name: 'ci', createdAt: NOON, impersonation: false, lastUsedIps: [] }
  return { kind: 'token', account: alice, token: { ...never, ...plain, scopes } }
}

type Case = {
  readonly who: Identity
  readonly does: 'pull' | 'push'
  readonly role: Role | 'none'
  readonly repository?: Circumstances['repository']
  readonly pushToCreate?: boolean
  readonly obstacle?: string
}

/** Both phases of a pull or a push; they are always decided alike. */
function decisions({ who, does, role, repository = 'found', pushToCreate = true, obstacle }: Case): Decision[] {
  const service: Service = does === 'pull' ? 'git-upload-pack' : 'git-receive-pack'
  const circumstances = { effective: { role, rule: 'the rule' }, repository, pushToCreate, obstacleToCreate: obstacle }
  return (['advertisement', 'rpc'] as const).map((phase) =>
    decide({ repository: REPOSITORY, service, phase }, who, circumstances),
  )
}

/** `serve`, `create`, or the refusal's kind and status. */
function outcome(one: Case): string {
  const [first, second] = decisions(one).map((decision) =>
    decision.kind === 'refuse'
      ? `${describeRefusal(decision.refusal, BASE).status} ${decision.refusal.kind}`
      : decision.kind,
  )
  return first === second ? (first ?? '') : `${first ?? ''} and then ${second ?? ''}`
}

t.test('upload-pack reads and receive-pack writes', async (t) => {
  const request = (service: Service): GitRequest => ({ repository: REPOSITORY, service, phase: 'advertisement' })
  t.equal(abilityOf(request('git-upload-pack')), 'read')
  t.equal(abilityOf(request('git-receive-pack')), 'write')
})

t.test('anonymous readers get what everybody may read, and are asked for credentials otherwise', async (t) => {
  t.equal(outcome({ who: anonymous, does: 'pull', role: 'read' }), 'serve')
  t.equal(outcome({ who: anonymous, does: 'pull', role: 'read', repository: 'unknown' }), 'serve')
  const refused: readonly Omit<Case, 'who'>[] = [
    { does: 'push', role: 'read' },
    { does: 'pull', role: 'none' },
    { does: 'push', role: 'none' },
    { does: 'pull', role: 'none', repository: 'missing' },
    { does: 'push', role: 'none', repository: 'missing' },
    // Missing looks like forbidden.
    { does: 'pull', role: 'read', repository: 'missing' },
    // Not even a grant that was written by hand lets nobody in particular push.
    { does: 'push', role: 'admin' },
    { does: 'push', role: 'admin', repository: 'missing' },
  ]
  for (const one of refused)
    t.equal(outcome({ ...one, who: anonymous }), '401 credentials-missing', JSON.stringify(one))
})

t.test('a password may do what its account may', async (t) => {
  const table = {
    none: ['404', '404'],
    read: ['serve', '403'],
    write: ['serve', 'serve'],
    admin: ['serve', 'serve'],
  } as const
  for (const [role, [pull, push]] of Object.entries(table) as [Role, readonly [string, string]][]) {
    for (const repository of ['found', 'unknown'] as const) {
      t.match(outcome({ who: byPassword, does: 'pull', role, repository }), pull, `${role} pulls`)
      t.match(outcome({ who: byPassword, does: 'push', role, repository }), push, `${role} pushes`)
    }
  }
  t.equal(outcome({ who: byPassword, does: 'pull', role: 'none' }), '404 repository-not-found')
  t.equal(outcome({ who: byPassword, does: 'push', role: 'none' }), '404 repository-not-found')
  t.equal(outcome({ who: byPassword, does: 'push', role: 'read' }), '403 push-not-granted')
})

t.test('a token may do what its scopes and its account both may', async (t) => {
  const table: Readonly<Record<Scope, readonly [pull: boolean, push: boolean]>> = {
    api: [true, true],
    read_api: [true, false],
    read_user: [false, false],
    read_repository: [true, false],
    write_repository: [true, true],
    read_registry: [false, false],
    write_registry: [false, false],
    sudo: [false, false],
  }
  for (const [scope, [pulls, pushes]] of Object.entries(table) as [Scope, readonly [boolean, boolean]][]) {
    const who = byToken(scope)
    t.equal(outcome({ who, does: 'pull', role: 'admin' }), pulls ? 'serve' : '403 scope-too-small', `${scope} pulls`)
    t.equal(outcome({ who, does: 'push', role: 'admin' }), pushes ? 'serve' : '403 scope-too-small', `${scope} pushes`)
  }
  t.equal(outcome({ who: byToken('read_user', 'write_repository'), does: 'push', role: 'write' }), 'serve')
  t.equal(outcome({ who: byToken('write_repository'), does: 'push', role: 'read' }), '403 push-not-granted')
  t.equal(outcome({ who: byToken('api'), does: 'pull', role: 'none' }), '404 repository-not-found')
})

// Attack: with a token of too small a scope, the status would tell which repositories exist.
t.test('a token of too small a scope learns nothing about repositories, not even about public ones', async (t) => {
  for (const role of ['none', 'read', 'admin'] as const) {
    for (const repository of ['found', 'missing', 'unknown'] as const) {
      const seen = { role, repository, obstacle: 'it exists already' }
      t.equal(outcome({ who: byToken('read_user'), does: 'pull', ...seen }), '403 scope-too-small')
      t.equal(outcome({ who: byToken('read_repository'), does: 'push', ...seen }), '403 scope-too-small')
    }
  }
})

// Attack: the difference between "missing" and "forbidden" would tell which repositories exist.
t.test('a repository that is missing and one that is invisible are refused alike', async (t) => {
  for (const does of ['pull', 'push'] as const) {
    const [forbidden] = decisions({ who: byPassword, does, role: 'none' })
    const [missing] = decisions({ who: byPassword, does, role: 'none', repository: 'missing' })
    t.strictSame(missing, forbidden, does)
    t.equal(outcome({ who: byPassword, does, role: 'read', repository: 'missing' }), '404 repository-missing')
  }
})

t.test('a push creates a missing repository for an admin of its path, where the setting lets it', async (t) => {
  const push = { who: byToken('write_repository'), does: 'push', repository: 'missing' } as const
  t.equal(outcome({ ...push, role: 'admin' }), 'create')
  t.equal(outcome({ ...push, role: 'write' }), '404 repository-missing')
  t.equal(outcome({ ...push, role: 'admin', pushToCreate: false }), '404 repository-missing')
  t.equal(outcome({ ...push, role: 'admin', obstacle: '"api" is reserved' }), '422 creation-refused')
  t.equal(outcome({ ...push, role: 'write', obstacle: '"api" is reserved' }), '404 repository-missing')
  t.equal(outcome({ ...push, role: 'admin', does: 'pull' }), '404 repository-missing')
  t.equal(outcome({ ...push, role: 'admin', repository: 'unknown' }), 'serve')
})

t.test('each decision names the rule that made it', async (t) => {
  t.match(decisions({ who: byPassword, does: 'push', role: 'write' })[0], { kind: 'serve', rule: 'the rule' })
  t.match(decisions({ who: byPassword, does: 'push', role: 'read' })[0], { kind: 'refuse', rule: 'the rule' })
  t.match(decisions({ who: byToken('sudo', 'read_user'), does: 'pull', role: 'read' })[0], {
    rule: 'scopes sudo,read_user',
  })
})
