import type { Test } from 'tap'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'

/** The password of who signs in. */
export const PASSWORD = 'correct horse battery'

/** A gate, and its administrator at a browser without a window. */
export async function administration(t: Test): Promise<{ readonly world: World; readonly root: FormClient }> {
  const world = await createWorld(t)
  await world.setPassword('root', PASSWORD)
  const root = new FormClient(world.url)
  await root.signIn('root', PASSWORD)
  return { world, root }
}
