import { createCipheriv } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beginPush, processesIn } from '../acceptance/transfers.js'
import type { Day } from './day.js'
import { until } from '../acceptance/until.js'

// More than the cache keeps in memory of one response, so that it makes a file.
const NOISE_BYTES = 1_200_000
const APP = 'team/app'

/** Clones, fetches and pushes. @returns alice's working copy */
export async function transfers(day: Day): Promise<string> {
  const { world } = day
  const remote = world.remote(APP)
  const folder = await world.git.init('app')
  const copy = join(world.git.home, 'copy')
  const push = (token: string, ...args: string[]) => day.git(token, ['push', '-q', remote, ...args], { cwd: folder })
  const commit = (text: string) => world.git.commit(folder, 'notes.txt', text)

  await day.at('10:00', 'alice pushes', async () => {
    writeFileSync(join(folder, 'noise'), noise())
    await world.git.run(['add', 'noise'], { cwd: folder })
    await commit('first\n')
    await push('laptop', 'HEAD:main')
  })
  // Git asks without a credential first.
  await day.at('10:01', 'alice clones', () =>
    world.git.clone(world.remote(APP, day.token('reader').secret), 'first', '-q'),
  )
  await day.at('10:02', 'alice clones again', () => day.git('reader', ['clone', '-q', remote, copy]))
  await day.at('10:03', 'alice pushes another commit', async () => {
    await commit('second\n')
    await push('laptop', 'HEAD:main')
  })
  await day.at('10:04', 'alice fetches it', () => day.git('reader', ['fetch', '-q'], { cwd: copy }))
  await day.at('10:05', 'a first push creates a repository', () =>
    day.git('laptop', ['push', '-q', world.remote('alice/new'), 'HEAD:main'], { cwd: folder }),
  )
  await day.at('10:06', 'an agent pushes its branch', () => push('agent', 'HEAD:agent/one'))
  await day.at('10:07', 'and another one', () => push('agent', 'HEAD:agent/two'))
  await day.at('10:08', 'alice deletes a branch', () => push('laptop', ':agent/one'))
  return folder
}

/** Pushes that are refused, and credentials that are. @param folder alice's working copy */
export async function refusals(day: Day, folder: string): Promise<void> {
  const { world } = day
  const refused = (token: string, ref: string) =>
    day.git(token, ['push', '-q', world.remote(APP), ref], { cwd: folder, status: 'any' })
  const asks = (user: string, password: string, path = APP, from = '127.0.0.1') =>
    day.advertisement(path, { user, password, headers: { 'X-Forwarded-For': from } })

  await world.git.commit(folder, 'notes.txt', 'third\n')
  await day.at('10:20', 'a push: the scope is not enough', () => refused('reader', 'HEAD:main'))
  await day.at('10:21', 'a push: the token may not push that ref', () => refused('agent', 'HEAD:main'))
  await day.at('10:22', 'a push: the ref is protected', () => refused('laptop', 'HEAD:release'))
  await day.at('10:23', 'a push: nobody may push the ref', () => refused('laptop', 'HEAD~1:refs/heads/fixed'))
  await day.at('10:24', 'a push: the budget is spent', () => refused('agent', 'HEAD:agent/three'))

  await day.at('10:30', 'no repository', () => asks('alice', day.token('laptop').secret, 'other/app'))
  await day.at('10:31', 'a wrong password', () => asks('alice', 'wrong'))
  await day.at('10:32', 'an unknown token', () => asks('alice', `ggpat-${'0'.repeat(36)}`))
  await day.at('10:33', 'an expired token', () => asks('alice', day.token('old').secret))
  await day.at('10:34', 'a revoked token', async () => {
    await day.cli(`token revoke ${day.token('lost').id}`)
    await asks('alice', day.token('lost').secret)
  })
  await day.at('10:35', 'a token that reaches other repositories', () => asks('alice', day.token('docs').secret))
  await day.at('10:36', 'a blocked account', async () => {
    await day.cli('user block mallory')
    await asks('mallory', day.token('guest').secret)
  })
  await day.at('10:37', 'an address is banned', async () => {
    await day.cli('settings set git_basic_auth_maxretry 2')
    for (const user of ['alice', 'root', 'alice']) await asks(user, 'wrong', APP, '203.0.113.9')
  })
  await day.at('10:38', 'what is no request of the smart protocol', async () => {
    await world.http(`/${APP}.git/HEAD`)
    await world.http('/team/../app.git/info/refs?service=git-upload-pack')
    await world.http(`/${APP}.git/git-upload-pack`, { method: 'POST', password: day.token('reader').secret })
  })
}

/** Tokens that are revoked while they are used. @param folder alice's working copy */
export async function revocations(day: Day, folder: string): Promise<void> {
  const { world } = day
  const disk = world.onDisk(APP)
  const oid = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  const revoke = async (token: string, isRunning: () => boolean): Promise<void> => {
    await until(isRunning)
    await day.cli(`token revoke ${day.token(token).id}`)
  }

  await day.at('13:00', 'a token is revoked during a push', async () => {
    const place = { url: world.url, path: APP, password: day.token('stolen').secret }
    const push = beginPush(place, oid, Buffer.from('PACK'))
    const closed = new Promise((resolve) => push.on('close', resolve))
    await revoke('stolen', () => processesIn(disk).length > 0)
    await closed
    // Git may end after the request.
    const ended = `audit list --action git.pushed --token ${day.token('stolen').id} --json`
    await until(async () => (await day.cli(ended)) !== '[]')
  })
  await day.at('13:01', 'a token is revoked during a fetch', async () => {
    const runs = day.held.runs()
    day.held.holdAtStart()
    const main = await world.git.ask(['rev-parse', 'HEAD~1'], { cwd: folder })
    // A capability that nobody knows keeps the response out of the cache.
    const want = `want ${main} side-band-64k no-progress of-the-day\n`
    const fetch = world.http(`/${APP}.git/git-upload-pack`, {
      method: 'POST',
      password: day.token('taken').secret,
      headers: { 'Content-Type': 'application/x-git-upload-pack-request' },
      body: `${(want.length + 4).toString(16).padStart(4, '0')}${want}00000009done\n`,
    })
    await revoke('taken', () => day.held.runs() > runs)
    // Where nothing was sent yet, the connection is reset.
    await fetch.catch(() => undefined)
    day.held.release()
  })
}

/** A push that the gate refuses: its event is written at once, and before it all that still waited to be written. */
export async function lastPush(day: Day, folder: string): Promise<void> {
  await day.at('17:10', 'the last push', () =>
    day.git('agent', ['push', '-q', day.world.remote(APP), 'HEAD:main'], { cwd: folder, status: 'any' }),
  )
}

/** Bytes that don't compress, the same each time. */
function noise(): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(NOISE_BYTES))
}
