import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import type { Test } from 'tap'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import type { BackendKind } from '../backends/backend.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

/** No object. */
export const ZERO = '0'.repeat(40)
/** What the token of {@link populate} is refused with. */
export const ONLY = 'token "agent" can only push to refs/heads/agent/*'

const packet = (data: string) => (Buffer.byteLength(data, 'latin1') + 4).toString(16).padStart(4, '0') + data

/** Creates `team/app` with one branch, a clone that is a commit ahead, and the pack that a push of that commit sends. */
export async function commitAhead(world: World) {
  const disk = await world.seedRepository('team/app')
  const folder = await world.git.clone(world.remote('team/app', await world.token('alice', 'read_repository')), 'app')
  const old = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  const next = await world.git.commit(folder, 'next.txt', 'next\n')
  const pack = execFileSync('git', ['pack-objects', '--revs', '--stdout', '-q'], {
    cwd: folder,
    input: `${next}\n^${old}\n`,
  })
  return { disk, folder, old, next, pack }
}

/** A repository of one branch, a clone that is a commit ahead, and a token that may push below `agent/` alone. */
export async function populate(t: Test, kind: BackendKind) {
  const world = await createWorld(t, {}, kind)
  await world.grant('alice', 'write', 'team/**')
  const { disk, folder, old, next, pack } = await commitAhead(world)
  const restrictions = parseRestrictions([], ['agent/*:create,update,delete'])
  const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
  const post = async (lines: readonly string[], capabilities: string, encoding = 'plain', body = pack) => {
    const [first = '', ...others] = lines
    const head = [`${first}\0${capabilities}`, ...others].map(packet).join('')
    const whole = Buffer.concat([Buffer.from(`${head}0000`, 'latin1'), body])
    return await world.http('/team/app.git/git-receive-pack', {
      method: 'POST',
      password: secret.reveal(),
      body: encoding === 'gzip' ? gzipSync(whole) : whole,
      headers: {
        'Content-Type': 'application/x-git-receive-pack-request',
        ...(encoding === 'gzip' ? { 'Content-Encoding': 'gzip' } : {}),
        ...(encoding === 'chunked' ? { 'Transfer-Encoding': 'chunked' } : {}),
      },
    })
  }
  const refs = async () =>
    await world.git.ask([
      '-c',
      'safe.directory=*',
      '--git-dir',
      disk,
      'for-each-ref',
      '--format=%(refname) %(objectname)',
    ])
  const sound = () => complaintsOf(world, disk)
  return { world, disk, folder, old, next, post, refs, sound, secret: secret.reveal() }
}

/** What git finds wrong with a repository; refused pushes may leave objects that nothing reaches. */
export async function complaintsOf(world: World, disk: string): Promise<string> {
  const fsck = ['fsck', '--full', '--strict', '--no-dangling']
  const { stdout, stderr } = await world.git.run(['-c', 'safe.directory=*', '--git-dir', disk, ...fsck])
  return stdout + stderr
}
