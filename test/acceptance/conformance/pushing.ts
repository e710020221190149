import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from '../world.js'
import type { Check } from './conformance.js'

/** Pushes that every backend must take, and say no to, as git does without a gate. */
export async function pushing(check: Check, world: World): Promise<void> {
  const { git } = world
  const token = await world.token('alice', 'write_repository')
  const remote = (name: string) => world.remote(`team/${name}`, token)
  const remoteRefs = async (name: string) => (await git.run(['ls-remote', remote(name)])).stdout

  await check('branches, tags, notes and other refs; updates, forced updates and deletions', async (t) => {
    await world.createRepository('team/push')
    const folder = await git.init('push')
    const run = (...args: string[]) => git.run(args, { cwd: folder })
    await run('tag', '-a', 'v1', '-m', 'One')
    await run('notes', 'add', '-m', 'A note')
    await run('update-ref', 'refs/changes/01/1', 'HEAD')
    await run(
      'push',
      remote('push'),
      'main',
      'main:topic',
      'v1',
      'refs/notes/*:refs/notes/*',
      'refs/changes/*:refs/changes/*',
    )
    const refs = await remoteRefs('push')
    for (const ref of [
      'refs/heads/main',
      'refs/heads/topic',
      'refs/tags/v1',
      'refs/notes/commits',
      'refs/changes/01/1',
    ]) {
      t.match(refs, new RegExp(`\\t${ref}\\n`))
    }
    const second = await git.commit(folder, 'a.txt', 'a\n')
    t.match((await run('push', remote('push'), 'main')).stderr, /main -> main/)
    t.match(await remoteRefs('push'), `${second}\trefs/heads/main`)

    await run('commit', '-q', '--amend', '-m', 'Rewritten')
    const refused = await git.run(['push', remote('push'), 'main'], { cwd: folder, status: 1 })
    t.match(refused.stderr, /! \[rejected\] +main -> main/)
    await run('push', '--force', remote('push'), 'main')
    t.match(await remoteRefs('push'), `${await git.ask(['rev-parse', 'HEAD'], { cwd: folder })}\trefs/heads/main`)

    await run('push', remote('push'), ':topic', ':refs/tags/v1', ':refs/notes/commits', ':refs/changes/01/1')
    t.equal((await remoteRefs('push')).trim().split('\n').length, 2, 'only HEAD and main are left')
    t.match((await run('push', remote('push'), 'main')).stderr, /Everything up-to-date/)
  })

  await check('a push of only notes or other refs', async (t) => {
    await world.createRepository('team/notes')
    const folder = await git.init('notes')
    await git.run(['push', remote('notes'), 'main'], { cwd: folder })
    await git.run(['notes', 'add', '-m', 'A note'], { cwd: folder })
    await git.run(['push', remote('notes'), 'refs/notes/*:refs/notes/*'], { cwd: folder })
    await git.run(['push', remote('notes'), 'main:refs/changes/01/1'], { cwd: folder })
    t.match(await remoteRefs('notes'), /\trefs\/changes\/01\/1\n.*\trefs\/notes\/commits\n/s)
  })

  await check('--mirror', async (t) => {
    await world.createRepository('team/mirrored')
    const folder = await git.init('mirrored')
    await git.run(['branch', 'side'], { cwd: folder })
    await git.run(['push', '--mirror', remote('mirrored')], { cwd: folder })
    await git.run(['branch', '-D', 'side'], { cwd: folder })
    await git.run(['push', '--mirror', remote('mirrored')], { cwd: folder })
    t.notMatch(await remoteRefs('mirrored'), /side/)
  })

  await check('the first pushed branch becomes HEAD', async (t) => {
    await world.createRepository('team/trunk')
    const folder = await git.init('trunk', '--initial-branch=trunk')
    await git.run(['push', remote('trunk'), 'trunk'], { cwd: folder })
    const clone = await git.clone(remote('trunk'), 'trunk-clone')
    t.equal(await git.ask(['symbolic-ref', 'HEAD'], { cwd: clone }), 'refs/heads/trunk')
    t.ok(existsSync(join(clone, 'README.md')))
  })

  await check('--atomic is all or nothing', async (t) => {
    const disk = await world.createRepository('team/atomic')
    const folder = await git.init('atomic')
    await git.run(['push', remote('atomic'), 'main'], { cwd: folder })
    hook(disk, 'update', 'case "$1" in *forbidden*) echo "not this one" >&2; exit 1;; esac')
    const first = await git.run(['push', remote('atomic'), 'main:allowed-1', 'main:forbidden-1'], {
      cwd: folder,
      status: 1,
    })
    t.match(first.stderr, /remote: not this one/)
    t.match(first.stderr, /\[remote rejected\] main -> forbidden-1 \(hook declined\)/)
    t.match(await remoteRefs('atomic'), /allowed-1/)
    await git.run(['push', '--atomic', remote('atomic'), 'main:allowed-2', 'main:forbidden-2'], {
      cwd: folder,
      status: 1,
    })
    t.notMatch(await remoteRefs('atomic'), /allowed-2/)
  })

  await check('the hook gets push options and the username, but no secret', async (t) => {
    const disk = await world.createRepository('team/options')
    const folder = await git.init('options')
    hook(disk, 'post-receive', 'env > seen; echo "option: $GIT_PUSH_OPTION_0"')
    const { stderr } = await git.run(['push', '-o', 'ci.skip', remote('options'), 'main'], { cwd: folder })
    t.match(stderr, /remote: option: ci\.skip/)
    const seen = readFileSync(join(disk, 'seen'), 'utf8')
    t.match(seen, /^REMOTE_USER=alice$/m)
    t.notOk(seen.includes(token))
  })

  await check('chunked: larger than the post buffer, after a 4-byte probe', async (t) => {
    await world.createRepository('team/chunked')
    const folder = await git.init('chunked')
    const noise = Array.from({ length: 40_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 0).toString(36)).join('\n')
    await git.commit(folder, 'noise.txt', noise)
    const env = { GIT_TRACE_CURL: '1', GIT_TRACE_CURL_NO_DATA: '1' }
    const push = await git.run(['-c', 'http.postBuffer=65536', 'push', remote('chunked'), 'main'], { cwd: folder, env })
    t.match(push.stderr, /Send header: transfer-encoding: chunked/i)
    t.match(push.stderr, /Send header: content-length: 4\b/i, 'the probe')
    const clone = await git.clone(remote('chunked'), 'chunked-clone')
    t.equal(readFileSync(join(clone, 'noise.txt'), 'utf8'), noise)
    await git.run(['fsck', '--full', '--strict'], { cwd: clone })
  })

  await check('Expect: 100-continue', async (t) => {
    await world.createRepository('team/expect')
    const folder = await git.init('expect')
    const expecting = ['-c', 'http.extraHeader=Expect: 100-continue']
    const env = { GIT_TRACE_CURL: '1', GIT_TRACE_CURL_NO_DATA: '1' }
    const push = await git.run([...expecting, 'push', remote('expect'), 'main'], { cwd: folder, env })
    t.match(push.stderr, /Recv header: HTTP\/1\.1 100 Continue/)
    await git.run([...expecting, 'clone', remote('expect'), 'expect-clone'])
  })

  await check('a broken object is refused, and the repository stays intact', async (t) => {
    const disk = await world.createRepository('team/fsck')
    const folder = await git.init('fsck')
    const blob = await git.ask(['hash-object', '-w', 'README.md'], { cwd: folder })
    const tree = await git.ask(['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'], {
      cwd: folder,
      input: treeWithDotGit(blob),
    })
    const commit = await git.ask(['commit-tree', '-m', 'evil', tree], { cwd: folder })
    const { stderr } = await git.run(['push', remote('fsck'), `${commit}:refs/heads/evil`], { cwd: folder, status: 1 })
    t.match(stderr, /hasDotgit|contains '\.git'/)
    t.equal(await remoteRefs('fsck'), '')
    await git.run(['-c', 'safe.directory=*', '--git-dir', disk, 'fsck', '--full', '--strict'])
  })
}

function hook(repository: string, name: string, script: string): void {
  mkdirSync(join(repository, 'hooks'), { recursive: true })
  const file = join(repository, 'hooks', name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
}

/** A tree with an entry `.git`, which would overwrite the repository of whoever checks it out. */
function treeWithDotGit(blob: string): Buffer {
  return Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(blob, 'hex')])
}
