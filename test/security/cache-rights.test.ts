// Attack: to get from the cache what one may not have, or may have no more.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { requireProgram } from '../acceptance/programs.js'
import { beginClone, cacheResults, cloneComplete, heldGit, cachedWorld } from '../acceptance/cache-world.js'
import { slowRelay } from '../acceptance/slow-relay.js'
import { beginFetch } from '../acceptance/transfers.js'
import { within } from '../acceptance/until.js'

// The gate looks for revocations every 50 ms; a busy machine may make it late. Until then the clone must not end.
const NOTICE_MS = 500

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(240_000)

    await t.test('two with different rights, interleaved: each has what they may, then and now', async (t) => {
      const { world, folder, password } = await cachedWorld(t, { kind })
      for (const name of ['one', 'two', 'three']) {
        await world.createRepository(`team/${name}`)
        await world.git.run(['push', '-q', world.remote(`team/${name}`, password), 'HEAD:main'], {
          cwd: folder,
        })
      }
      const mallory = await world.token('mallory', 'read_repository')
      const repositories = ['team/one', 'team/two', 'team/three'] as const
      const may = new Set<string>()
      const tries = async (): Promise<void> => {
        const looks = repositories.flatMap((path) => [
          cloneComplete(world.git, world.remote(path, password), '-q').then(() => undefined),
          (async () => {
            const begun = beginClone(world.git, world.remote(path, mallory, 'mallory'))
            const status = await begun.ended
            if (may.has(path)) t.equal(status, 0, `${path} may be read`)
            else t.not(status, 0, `${path} may not be read`)
          })(),
        ])
        await Promise.all(looks)
      }
      await tries()
      // Before an upstream the same code decides: each repository is given once, and one is taken back.
      for (const path of kind === embedded ? [...repositories, ...repositories] : [...repositories, 'team/one']) {
        if (may.delete(path)) await world.store.grants.remove(GATE_CONTEXT, 'mallory', path)
        else {
          may.add(path)
          await world.grant('mallory', 'read', path)
        }
        await tries()
      }
      t.ok(cacheResults(world).includes('hit'))
    })

    await t.test('one who may read a repository gets from the cache no object of another', async (t) => {
      const { world, password, clone } = await cachedWorld(t, { kind })
      await world.createRepository('open/app')
      await world.grant('mallory', 'write', 'open/**')
      const mallory = await world.token('mallory', 'write_repository')
      await clone()
      const id = await world.git.ask(['ls-remote', world.remote('team/app', password), 'refs/heads/main'])
      const place = { url: world.url, path: 'open/app', password: mallory }
      const oid = id.slice(0, 40)
      const { answer } = await beginFetch(place, oid)
      let said = ''
      for await (const chunk of answer) said += (chunk as Buffer).toString('latin1')
      t.notMatch(said, /PACK/)
      const { answer: refused } = await beginFetch({ ...place, path: 'team/app' }, oid)
      t.equal(refused.statusCode, 404)
    })

    await t.test('without credentials only what is public comes, cached or not', async (t) => {
      const { world, clone } = await cachedWorld(t, { kind })
      const anonymous = async () => await beginClone(world.git, world.remote('team/app')).ended
      await clone()
      t.not(await anonymous(), 0)
      await world.grant('@anonymous', 'read', 'team/app')
      t.equal(await anonymous(), 0)
      t.equal(await anonymous(), 0)
      t.equal(cacheResults(world).at(-1), 'hit')
      await world.store.grants.remove(GATE_CONTEXT, '@anonymous', 'team/app')
      t.not(await anonymous(), 0)
    })

    await t.test('a token that is limited to repositories gets no others from the cache', async (t) => {
      const { world, clone } = await cachedWorld(t, { kind })
      await clone()
      const limited = async (pattern: string) => {
        const restrictions = parseRestrictions([pattern], [])
        const { secret } = await world.issue('alice', ['read_repository'], { name: pattern, restrictions })
        return await beginClone(world.git, world.remote('team/app', secret.reveal())).ended
      }
      t.not(await limited('team/other'), 0)
      t.equal(await limited('team/app'), 0)
      const api = await world.token('alice', 'read_user')
      t.not(await beginClone(world.git, world.remote('team/app', api)).ended, 0, 'nor one of another scope')
    })
  })
}

t.test('who is let in no longer is told so and cut off', async (t) => {
  const git = heldGit(t)
  const { world, remote, place, folder, push } = await cachedWorld(t, { flags: { git: git.path }, mebibytes: 20 })
  for (const version of ['0', '2'])
    for (const result of ['miss', 'coalesced', 'hit'] as const)
      await t.test(`${result}, version ${version}`, async (t) => {
        // So that nothing comes from what the cases before have left in the cache.
        await world.git.commit(folder, 'next.txt', `${result} ${version}`)
        await push('HEAD:main')
        const config = ['-c', `protocol.version=${version}`]
        const { token, secret } = await world.issue('alice', ['read_repository'], { name: 'ci' })
        let revokedAt = Number.POSITIVE_INFINITY
        const isCut = (): boolean => performance.now() - revokedAt > NOTICE_MS
        const relay = new URL(await slowRelay(t, world.url, 'server', isCut))
        const slow = new URL(world.remote('team/app', secret.reveal()))
        slow.host = relay.host

        if (result === 'hit') await cloneComplete(world.git, remote, '-q', '--bare', ...config)
        git.hold()
        const leader = result === 'coalesced' ? beginClone(world.git, remote, ...config) : undefined
        if (leader !== undefined) t.ok(await within(10_000, leader.isReceiving), 'the leader is under way')
        const cloning = beginClone(world.git, slow.href, ...config)
        t.ok(await within(10_000, cloning.isReceiving), 'the clone is under way')
        git.release()
        await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
        revokedAt = performance.now()
        t.not(await cloning.ended, 0)
        t.match(cloning.said(), /remote: token "ci" was revoked/)
        t.ok(await within(2_000, () => cutLine(world.log, token.id)?.['rule'] === 'token revoked'))
        if (leader !== undefined) t.equal(await leader.ended, 0, 'nobody else is cut')
        const again = await beginFetch({ ...place, password: secret.reveal() }, '1'.repeat(40))
        t.equal(again.answer.statusCode, 401)
        t.equal(await beginClone(world.git, remote, ...config).ended, 0)
      })
})

function cutLine(log: string, tokenId: number): Record<string, unknown> | undefined {
  const line = log
    .split('\n')
    .find((one) => one.includes('"decision":"revoked"') && one.includes(`"token_id":${tokenId},`))
  return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>)
}
