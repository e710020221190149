import { spawnSync } from 'node:child_process'

const PROGRAM = `
  import { openStore } from '${new URL('../../src/storage/open.js', import.meta.url).href}'
  import { GATE_CONTEXT } from '${new URL('../../src/domain/audit/event.js', import.meta.url).href}'
  const [data, count] = process.argv.slice(1)
  const store = openStore(data, undefined, { durable: false })
  for (let i = 0; i < Number(count); i += 1) {
    const account = { username: 'user-' + count + '-' + i, name: 'n'.repeat(250), email: null, admin: false, passwordHash: null }
    await store.accounts.add(GATE_CONTEXT, account, new Date())
  }
  process.kill(process.pid, 'SIGKILL')
`

/** Adds accounts to a data folder and leaves it as a gate does that is killed, with a write-ahead log. */
export function crash(data: string, accounts: number): void {
  const { signal, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', PROGRAM, data, String(accounts)],
    { encoding: 'utf8' },
  )
  if (signal !== 'SIGKILL') throw new Error(stderr)
}
