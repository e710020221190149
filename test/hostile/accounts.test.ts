// Attacks of those who have an account, or guess at one: patterns and protections that are costly to compare, pushes that inflate,
// packs that nobody reads, passwords, and a token that comes from everywhere. As in requests.test.ts, nobody else may notice.
import { gzipSync } from 'node:zlib'
import type { Test } from 'tap'
import t from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { basic } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { beginFetch, largeCommit } from '../acceptance/transfers.js'
import { within } from '../acceptance/until.js'
import { ask, attack } from './attack.js'

const ZERO = '0'.repeat(40)
const ONE = '1'.repeat(40)
const PACK_MEBIBYTES = 24
const PACK_RUNS = 4
// A transfer that is not read gives its slot back after 30 s.
const CLONE_TIMEOUT_MS = 60_000
// To inflate all of two gigabytes takes 4 s.
const MAX_INFLATING_MS = 1_500
// 233 bytes with 8 wildcards: nearly all that a pattern may have.
const hostilePattern = (index: number) => `${`*${'a'.repeat(27)}`.repeat(8)}${index}b`
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

/** A gate with the repository `alice/app` and an administrator, alice; bcrypt costs what it costs by default. */
async function openGate(t: Test) {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder, {
    GITGATE_BCRYPT_COST: '10',
    GITGATE_TRUSTED_PROXIES: '127.0.0.1',
    GITGATE_GIT_RUNS: String(PACK_RUNS),
    GITGATE_GIT_RUNS_PER_REPOSITORY: String(PACK_RUNS),
  })
  for (const name of ['alice', 'bob', 'carol'])
    await cli.ask(['user', 'add', name, ...(name === 'alice' ? ['--admin'] : [])])
  await cli.ask(['access', 'grant', '@all', 'read', '**'])
  const token = (name: string, ...more: string[]) =>
    cli.ask(['token', 'create', name, '--name', 'n', '--scopes', 'api,write_repository', ...more])
  const alice = await token('alice')
  const gate = await cli.serveProcess(t)
  const git = new GitClient(folder, 'alice')
  const remote = (secret: string) => `${gate.url.replace('//', `//x:${secret}@`)}/alice/app.git`
  await git.run(['push', '-q', remote(alice), 'main'], { cwd: await git.init('app') })

  /** Calls the API. */
  const call = (method: string, path: string, body?: object, secret = alice) =>
    ask(gate, `/api/v4${path}`, {
      method,
      headers: { 'PRIVATE-TOKEN': secret, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  /** Pushes commands and perhaps a pack, as a request of its own. */
  const push = (refs: readonly string[], secret: string, encoding?: 'gzip', more: readonly Buffer[] = []) => {
    const lines = refs.map((ref, index) => `${ZERO} ${ONE} ${ref}${index === 0 ? '\0report-status' : ''}`)
    const head = `${lines.map((line) => (line.length + 4).toString(16).padStart(4, '0') + line).join('')}0000`
    return ask(gate, '/alice/app.git/git-receive-pack', {
      method: 'POST',
      headers: {
        Authorization: basic('x', secret),
        'Content-Type': 'application/x-git-receive-pack-request',
        ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
      },
      body: encoding === undefined ? head : Buffer.concat([gzipSync(head), ...more]),
    })
  }
  return { gate, git, token, alice, remote, call, push }
}

t.test('hostile accounts', async (t) => {
  const { gate, git, token, alice, remote, call, push } = await openGate(t)
  const longRefs = times(1_000, (index) => `refs/heads/${index}/${'a'.repeat(1_000)}`)
  // What is loaded on first use takes a while, once.
  await push(['refs/heads/x y'], alice)
  await call('GET', '/projects')
  await call('GET', '/gitgate/audit_events?repository=x')

  /** Derives a token that may only push some refs, as whoever has a token for the API may. */
  const limited = async (refs: readonly string[]): Promise<string> => {
    const made = await call('POST', '/user/personal_access_tokens', { name: 'n', scopes: ['write_repository'], refs })
    if (made.status !== 201) throw new Error(made.body)
    return (JSON.parse(made.body) as { token: string }).token
  }
  await attack(t, gate, 'patterns of refs: 1,000 refs of 1,000 bytes against 100', async () => {
    const secret = await limited(times(100, hostilePattern))
    t.match((await push(longRefs, secret)).body, /can only push to/)
  })
  await attack(t, gate, 'refs of 3,900 bytes', async () => {
    const refs = times(1_000, (index) => `refs/heads/${index}/${'a'.repeat(3_900)}`)
    t.match((await push(refs, alice)).body, /more than 1024 bytes/)
  })
  await attack(t, gate, 'patterns of repositories: 100 of a token, and 100 of grants', async () => {
    const secret = await token('alice', ...times(100, hostilePattern).flatMap((pattern) => ['--repo', pattern]))
    for (const index of times(100, (index) => index))
      await call('POST', '/gitgate/grants', { subject: '@all', role: 'read', pattern: hostilePattern(index) })
    const path = `/${`${'a'.repeat(240)}/`.repeat(4)}x.git/info/refs?service=git-upload-pack`
    for (let count = 0; count < 50; count++) await ask(gate, path, { headers: { Authorization: basic('x', secret) } })
    await call('GET', '/projects', undefined, secret)
  })
  await attack(t, gate, 'patterns that search the audit log', async () => {
    for (let count = 0; count < 20; count++)
      await call('GET', `/gitgate/audit_events?per_page=100&repository=${hostilePattern(count)}`)
  })

  for (const index of times(500, (index) => index))
    await call('POST', '/projects/alice%2Fapp/protected_branches', { name: hostilePattern(index) })
  await attack(t, gate, 'protections: 500 of a repository, and a push of 1,000 refs of 1,000 bytes', async () => {
    t.equal((await push(longRefs, alice)).status, 200)
  })
  await attack(t, gate, 'protections: 500 of a repository, and a push of 20,000 refs', async () => {
    t.match(
      (
        await push(
          times(20_000, (index) => `refs/heads/${index}`),
          alice,
        )
      ).status,
      200,
    )
  })

  // Two megabytes that inflate to two gigabytes.
  const bomb = times(8, () => gzipSync(Buffer.alloc(2 ** 28)))
  const agent = await limited(['agent/*'])
  for (const [ref, answer] of [
    ['refs/heads/main', /can only push to/],
    ['refs/heads/agent/x', /unpack (?!ok)/],
  ] as const)
    await attack(
      t,
      gate,
      `a compressed pack that inflates, for ${ref}`,
      async () => {
        t.match((await push([ref], agent, 'gzip', bomb)).body, answer)
      },
      MAX_INFLATING_MS,
    )

  await attack(t, gate, '60 wrong passwords at once, from as many addresses', async () => {
    const guesses = times(60, (index) =>
      ask(gate, '/alice/app.git/info/refs?service=git-upload-pack', {
        headers: { Authorization: basic(`user${index}`, 'wrong'), 'X-Forwarded-For': `192.0.2.${index}` },
      }),
    )
    const isHealthy = (): Promise<boolean> => ask(gate, '/-/health').then(({ status }) => status === 200)
    t.ok(await within(50, isHealthy), 'it is healthy meanwhile')
    await Promise.all(guesses)
  })
  await attack(t, gate, 'a token from 2,000 addresses', async () => {
    for (let count = 0; count < 2_000; count += 20)
      await Promise.all(
        times(20, (index) =>
          ask(gate, '/api/v4/user', {
            headers: { 'PRIVATE-TOKEN': alice, 'X-Forwarded-For': `2001:db8::${(count + index).toString(16)}` },
          }),
        ),
      )
  })

  const large = await largeCommit(git, 'large', PACK_MEBIBYTES)
  const own = `${gate.url.replace('//', `//x:${alice}@`)}/alice/large.git`
  await git.run(['push', '-q', own, 'main'], { cwd: large.folder })
  const [bob, carol] = [await token('bob'), await token('carol')]
  const unread: { destroy: () => unknown }[] = []
  await attack(t, gate, 'packs that nobody reads', async () => {
    for (let count = 0; count < PACK_RUNS; count++) {
      const password = count % 2 === 0 ? bob : alice
      // Not from the cache, nor for it.
      const { call } = await beginFetch({ url: gate.url, path: 'alice/large', password }, large.oid, [`x=${count}`])
      unread.push(call)
    }
  })
  const cloned = git.run(['clone', '-q', '--bare', own.replace(alice, carol), 'carols.git'])
  let isCloned = false
  void cloned.then(() => (isCloned = true))
  t.ok(await within(CLONE_TIMEOUT_MS / 8, () => isCloned), 'somebody else clones while they hold all slots')
  for (const call of unread) call.destroy()
  await cloned

  await git.run(['clone', '-q', '--bare', remote(carol), 'app.git'])
  t.ok(true, 'it serves a clone')
  t.equal(await gate.stop(), 0)
})
