import type { Test } from 'tap'
import type { BackendKind } from '../../backends/backend.js'
import { requireProgram } from '../programs.js'
import { createWorld } from '../world.js'
import { clients } from './clients.js'
import { fetching } from './fetching.js'
import { pushing } from './pushing.js'

/** Runs a conformance test, unless the backend can't do it. */
export type Check = (name: string, body: (t: Test) => Promise<void>) => Promise<void>

/** Real git through the gate, before one kind of server: everything that git does, but for what that server can't. */
export async function conformance(t: Test, kind: BackendKind): Promise<void> {
  await t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(300_000)
    const world = await createWorld(t, {}, kind)
    await world.grant('alice', 'admin', 'team/**')
    const checkIn =
      (t: Test): Check =>
      async (name, body) => {
        const reason = kind.cannot[name]
        if (reason === undefined) await t.test(name, body)
        else t.comment(`${kind.name} can't: ${name} (${reason})`)
      }
    await t.test('fetching', (t) => fetching(checkIn(t), world))
    await t.test('pushing', (t) => pushing(checkIn(t), world))
    await t.test('clients', (t) => clients(checkIn(t), world))
  })
}
