// Attack: a first push, which creates its repository, holds back its last byte. Meanwhile its account loses the right to create
// it. Then the byte comes, and the repository is created as if nothing had changed.
import { existsSync } from 'node:fs'
import t from 'tap'
import { basic } from '../acceptance/http-client.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { holdLastByte } from './held-request.js'

const packet = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text
// Deleting a ref needs no pack.
const BODY = `${packet(`${'1'.repeat(40)} ${'0'.repeat(40)} refs/heads/gone\0report-status`)}0000`

async function createsAfter(world: World, change: () => Promise<void>): Promise<boolean> {
  const headers = {
    Authorization: basic('alice', await world.token('alice', 'write_repository')),
    'Content-Type': 'application/x-git-receive-pack-request',
  }
  const held = await holdLastByte(world, '/team/new.git/git-receive-pack', headers, BODY)
  await change()
  await held.finish()
  return existsSync(world.onDisk('team/new'))
}

const CHANGES: Readonly<Record<string, (world: World) => Promise<void>>> = {
  'the role is lowered': (world) => world.grant('alice', 'write', 'team/**'),
  'push_to_create is turned off': (world) => world.set('push_to_create', 'false'),
}

for (const [name, change] of Object.entries(CHANGES)) {
  t.test(`a held push creates no repository once ${name}`, async (t) => {
    const world = await createWorld(t)
    await world.grant('alice', 'admin', 'team/**')
    t.notOk(await createsAfter(world, () => change(world)))
  })
}

t.test('a held push still creates its repository when something else changes', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'admin', 'team/**')
  t.ok(await createsAfter(world, () => world.grant('mallory', 'read', 'other/**')))
})
