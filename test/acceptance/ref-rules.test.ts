// Tokens limited to refs, as real git meets them: before the embedded server and before nginx + git http-backend alike.
import t from 'tap'
import type { Test } from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import type { BackendKind } from '../backends/backend.js'
import type { GitResult } from './git-client.js'
import { requireProgram } from './programs.js'
import { complaintsOf } from './pushes.js'
import { createWorld } from './world.js'

/** What a push is told about one ref: git's own line, without its columns. */
const rejected = (from: string, to: string, reason: string) => ` ! [remote rejected] ${from} -> ${to} (${reason})\n`

/** A repository of four branches and a tag, and a clone of it that is ahead by one commit. */
async function populate(t: Test, kind: BackendKind) {
  const world = await createWorld(t, {}, kind)
  await world.grant('alice', 'write', 'team/**')
  const disk = await world.createRepository('team/app')
  const folder = await world.git.init('app')
  const whole = await world.token('alice', 'write_repository')
  const run = (...args: string[]) => world.git.run(args, { cwd: folder })
  await run('tag', 'v1')
  await run('push', '-q', world.remote('team/app', whole), 'main', 'main:topic', 'main:agent/1', 'main:agent/2', 'v1')
  await world.git.commit(folder, 'next.txt', 'next\n')
  const refs = async () =>
    (await world.git.run(['ls-remote', world.remote('team/app', whole)])).stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
  const at = async (ref: string) => (await refs()).find(([, name]) => name === ref)?.[0]
  const sound = () => complaintsOf(world, disk)
  const push = async (rules: readonly string[], args: readonly string[], flags: readonly string[] = []) => {
    const restrictions = parseRestrictions([], rules)
    const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
    const remote = world.remote('team/app', secret.reveal())
    return await world.git.run([...flags, 'push', ...args.slice(0, -1), remote, ...(args.at(-1) ?? '').split(' ')], {
      cwd: folder,
      status: 'any',
    })
  }
  const head = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  const old = await world.git.ask(['rev-parse', 'HEAD~1'], { cwd: folder })
  return { world, disk, folder, run, refs, at, sound, push, head, old, whole }
}

const said = ({ stderr }: GitResult) => stderr.replace(/ {2,}/g, ' ')

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(200_000)

    await t.test('a ref outside the rules is refused in the words of the token; others of the push land', async (t) => {
      const { push, at, head, old, sound } = await populate(t, kind)
      const only = 'token "agent" can only push to refs/heads/agent/*'
      const mixed = await push(['agent/*'], ['main main:agent/1 main:agent/3'])
      t.equal(mixed.status, 1)
      t.match(said(mixed), rejected('main', 'main', only))
      t.match(said(mixed), / main -> agent\/1\n/)
      t.match(said(mixed), /\* \[new branch\] main -> agent\/3\n/)
      t.equal(await at('refs/heads/main'), old)
      t.equal(await at('refs/heads/agent/1'), head)
      t.equal(await at('refs/heads/agent/3'), head)
      const porcelain = await push(['agent/*'], ['--porcelain', 'main'])
      t.match(porcelain.stdout, `!\trefs/heads/main:refs/heads/main\t[remote rejected] (${only})`)
      t.equal(await sound(), '')
    })

    await t.test('each verb by itself', async (t) => {
      const { push, at, head, old, run, whole, world, sound } = await populate(t, kind)
      const table: [
        rules: string[],
        args: string[],
        ref: string,
        after: string | undefined,
        reason: RegExp | undefined,
      ][] = [
        [['agent/*:create'], ['main:agent/1'], 'refs/heads/agent/1', old, /can create this ref, but not push to it/],
        [['agent/*:create'], ['main:agent/9'], 'refs/heads/agent/9', head, undefined],
        [
          ['agent/*:update'],
          ['main:agent/8'],
          'refs/heads/agent/8',
          undefined,
          /can update this ref, but not create it/,
        ],
        [['agent/*:update'], ['main:agent/1'], 'refs/heads/agent/1', head, undefined],
        [
          ['agent/*'],
          ['--force', 'main~1:agent/1'],
          'refs/heads/agent/1',
          head,
          /can create and update this ref, but not force-push/,
        ],
        [['agent/*:force'], ['--force', 'main~1:agent/1'], 'refs/heads/agent/1', old, undefined],
        [['agent/*'], [':agent/9'], 'refs/heads/agent/9', head, /can create and update this ref, but not delete it/],
        [['agent/*:delete'], [':agent/9'], 'refs/heads/agent/9', undefined, undefined],
        [['agent/*'], ['--force', 'main:refs/tags/v1'], 'refs/tags/v1', old, /can only push to refs\/heads\/agent\/\*/],
        [
          ['refs/tags/*'],
          ['--force', 'main:refs/tags/v1'],
          'refs/tags/v1',
          old,
          /can create and update this ref, but not move it/,
        ],
        [['refs/tags/*:force'], ['--force', 'main:refs/tags/v1'], 'refs/tags/v1', head, undefined],
        [
          ['refs/tags/v*', 'agent/*', 'a', 'b'],
          ['main'],
          'refs/heads/main',
          old,
          /can only push to refs\/tags\/v\*, refs\/heads\/agent\/\*, refs\/heads\/a and 1 more/,
        ],
      ]
      for (const [rules, args, ref, after, reason] of table) {
        const result = await push(rules, args)
        const name = `${rules.join(' ')} pushes ${args.join(' ')}`
        t.equal(result.status, reason === undefined ? 0 : 1, name)
        if (reason !== undefined) t.match(said(result), reason, name)
        t.equal(await at(ref), after, `${name}: ${ref}`)
      }
      await run('push', '-q', '--force', world.remote('team/app', whole), 'main~1:main')
      t.equal(await sound(), '')
    })

    await t.test('--atomic is all or nothing', async (t) => {
      const { push, at, old } = await populate(t, kind)
      const result = await push(['agent/*'], ['--atomic', 'main main:agent/1'])
      t.equal(result.status, 1)
      t.match(said(result), rejected('main', 'main', 'token "agent" can only push to refs/heads/agent/*'))
      t.match(said(result), rejected('main', 'agent/1', 'atomic push failed'))
      t.equal(await at('refs/heads/agent/1'), old)
    })

    await t.test('refs that may be forced beside such that may not', async (t) => {
      const { push, at, head, old, sound } = await populate(t, kind)
      await push(['agent/*'], ['main:agent/1 main:agent/2'])
      const rules = ['agent/1:force', 'agent/2', 'new']
      const result = await push(rules, ['--force', 'main~1:agent/1 main~1:agent/2 main:new'])
      t.equal(result.status, 1)
      t.match(said(result), /\+ \w+\.\.\.\w+ main~1 -> agent\/1 \(forced update\)/)
      t.match(
        said(result),
        rejected('main~1', 'agent/2', 'token "agent" can create and update this ref, but not force-push'),
      )
      t.equal(await at('refs/heads/agent/1'), old)
      t.equal(await at('refs/heads/agent/2'), head)
      t.equal(await at('refs/heads/new'), head)
      t.equal(await sound(), '')
    })

    await t.test('only deletions left of a push: the pack is dropped', async (t) => {
      const { push, at, old } = await populate(t, kind)
      const result = await push(['agent/*:delete'], ['main :agent/1'])
      t.match(said(result), / - \[deleted\] agent\/1\n/)
      t.match(said(result), /! \[remote rejected\] main -> main/)
      t.equal(await at('refs/heads/agent/1'), undefined)
      t.equal(await at('refs/heads/main'), old)
    })

    await t.test('chunked, after a probe', async (t) => {
      const { push, at, old, folder, world } = await populate(t, kind)
      const noise = Array.from({ length: 40_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 0).toString(36)).join(
        '\n',
      )
      const head = await world.git.commit(folder, 'noise.txt', noise)
      const chunked = ['-c', 'http.postBuffer=65536']
      const result = await push(['agent/*'], ['main main:agent/1'], chunked)
      t.match(said(result), /! \[remote rejected\] main -> main \(token "agent" can only/)
      t.equal(await at('refs/heads/agent/1'), head)
      t.match(said(await push(['agent/*'], ['main'], chunked)), /! \[remote rejected\] main -> main/)
      t.equal(await at('refs/heads/main'), old)
    })

    await t.test('what the protocol can do: report-status v1 and v2, side-band or none, push options', async (t) => {
      const { push, world, disk } = await populate(t, kind)
      await world.git.run([
        '-c',
        'safe.directory=*',
        '--git-dir',
        disk,
        'config',
        'receive.advertisePushOptions',
        'true',
      ])
      world.adopt(disk)
      const options = await push(['agent/*'], ['-o', 'ci.skip', 'main main:agent/1'])
      t.match(said(options), /! \[remote rejected\] main -> main/)
      t.match(said(options), / main -> agent\/1\n/)
    })
  })
}
