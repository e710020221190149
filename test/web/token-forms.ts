import type { Test } from 'tap'
import type { Person, World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import type { BackendKind } from '../backends/backend.js'
import { FormClient } from '../pages/form-client.js'

/** Where the pages about tokens are. */
export const TOKENS = '/-/user_settings/personal_access_tokens'
const PASSWORD = 'correct horse battery'

/** Starts a gate, with alice at a browser. */
export async function open(t: Test, kind?: BackendKind): Promise<{ world: World; alice: FormClient }> {
  const world = await createWorld(t, {}, kind)
  return { world, alice: await signedIn(world, 'alice') }
}

/** Somebody at a browser of their own. */
export async function signedIn(world: World, person: Person): Promise<FormClient> {
  await world.setPassword(person, PASSWORD)
  const client = new FormClient(world.url)
  await client.signIn(person, PASSWORD)
  return client
}

/** Sends the form of a new token. */
export function create(client: FormClient, fields: Readonly<Record<string, string>>) {
  return client.submit(TOKENS, { name: 'ci', scopes: 'read_repository', expiry: '30d', ...fields }, `${TOKENS}/new`)
}
