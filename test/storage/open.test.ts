import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { Secret } from '../../src/core/secret.js'
import { openStore } from '../../src/storage/open.js'
import { issueToken } from '../../src/domain/tokens/issue.js'
import { digestSecret } from '../../src/domain/tokens/token-secret.js'
import { NOON, addAccount } from './temporary-store.js'

const SEED = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
const RULES = { prefix: 'ggpat-', latestExpiry: null, expiryRequired: false, disabled: false }

/** A program that opens the store of a folder when it is told to, and uses it. */
const OPENER = `
  import { once } from 'node:events'
  import { GATE_CONTEXT } from '${new URL('../../src/domain/audit/event.js', import.meta.url).href}'
  import { Secret } from '${new URL('../../src/core/secret.js', import.meta.url).href}'
  import { openStore } from '${new URL('../../src/storage/open.js', import.meta.url).href}'
  process.stdout.write('ready')
  await once(process.stdin, 'data')
  const store = openStore(process.argv[1], undefined)
  const username = 'user-' + process.pid
  const account = { username, name: username, email: null, admin: false, passwordHash: null }
  const { id } = await store.accounts.add(GATE_CONTEXT, account, new Date())
  await store.twoFactors.enable(GATE_CONTEXT, id, new Secret('${SEED}', 'seed'), [new Secret('h', 'hash')], new Date())
  await store.close()
  process.exit()
`

/** A data folder that was used and left. */
async function usedFolder(t: Test): Promise<{ folder: string; database: string; key: string }> {
  const folder = join(t.testdir(), 'data')
  const store = openStore(folder, undefined)
  await addAccount(store, 'alice')
  await store.close()
  return { folder, database: join(folder, 'gitgate.sqlite3'), key: join(folder, 'key') }
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

function onFile<T>(path: string, work: (database: SQLite.Database) => T): T {
  const database = new SQLite(path)
  try {
    return work(database)
  } finally {
    database.close()
  }
}

t.test('the folder is its owner’s alone, and so is everything in it', async (t) => {
  const umask = process.umask(0)
  t.teardown(() => process.umask(umask))
  const folder = join(t.testdir(), 'deep', 'data')
  const store = openStore(folder, undefined)
  await addAccount(store, 'alice')
  const files = readdirSync(folder).toSorted()
  t.strictSame(files, ['audit-mark', 'gitgate.sqlite3', 'gitgate.sqlite3-shm', 'gitgate.sqlite3-wal', 'key', 'lock'])
  t.equal(modeOf(folder), '700')
  for (const file of files) t.equal(modeOf(join(folder, file)), '600', file)
  await store.close()
})

t.test('a folder and a database that others could read are closed to them', async (t) => {
  const { folder, database, key } = await usedFolder(t)
  for (const path of [folder, database, key]) chmodSync(path, 0o777)
  const store = openStore(folder, undefined)
  await addAccount(store, 'bob')
  t.equal(modeOf(folder), '700')
  t.equal(modeOf(database), '600')
  t.equal(modeOf(`${database}-wal`), '600')
  t.equal(modeOf(key), '600')
  await store.close()
})

t.test('what was stored is there after the store was closed and opened again', async (t) => {
  const { folder } = await usedFolder(t)
  const store = openStore(folder, undefined)
  t.equal((await store.accounts.list())[0]?.username, 'alice')
  await store.close()
})

t.test('of a token only its digest is in the files, of a seed only its encryption', async (t) => {
  const folder = join(t.testdir(), 'data')
  const store = openStore(folder, undefined)
  const alice = await addAccount(store, 'alice')
  const draft = { name: 'ci', scopes: ['api'] as const, expiry: undefined }
  const { secret } = await issueToken(store.tokens, GATE_CONTEXT, alice, draft, RULES, NOON)
  await store.twoFactors.enable(
    GATE_CONTEXT,
    alice.id,
    new Secret(SEED, 'two-factor seed'),
    [new Secret('hash', 'hash')],
    NOON,
  )
  const search = (text: string) => readdirSync(folder).filter((file) => readFileSync(join(folder, file)).includes(text))
  for (const moment of ['open', 'closed']) {
    t.strictSame(search(secret.reveal()), [], `the token, ${moment}`)
    t.strictSame(search(secret.reveal().slice('ggpat-'.length)), [], `the token without its prefix, ${moment}`)
    t.strictSame(search(SEED), [], `the seed, ${moment}`)
    t.strictSame(search(Buffer.from(SEED).toString('base64url')), [], `the seed in base64, ${moment}`)
    t.ok(search(digestSecret(secret).reveal()).length > 0, `the digest is there, ${moment}`)
    if (moment === 'open') await store.close()
  }
})

// Attack: with write access to the database alone, one's own seed is copied to the account of somebody else.
t.test('a seed that was encrypted for one account opens for no other', async (t) => {
  const { folder, database } = await usedFolder(t)
  const before = openStore(folder, undefined)
  const mallory = await addAccount(before, 'mallory')
  const alice = (await before.accounts.findByUsername('alice'))!
  await before.twoFactors.enable(
    GATE_CONTEXT,
    mallory.id,
    new Secret(SEED, 'two-factor seed'),
    [new Secret('h', 'hash')],
    NOON,
  )
  await before.twoFactors.enable(
    GATE_CONTEXT,
    alice.id,
    new Secret('OTHER', 'two-factor seed'),
    [new Secret('h', 'hash')],
    NOON,
  )
  await before.close()
  const copy = 'UPDATE two_factors SET sealed_seed = (SELECT sealed_seed FROM two_factors WHERE account_id = ?)'
  onFile(database, (file) => file.prepare(copy).run(mallory.id))
  const store = openStore(folder, undefined)
  t.equal((await store.twoFactors.find(mallory.id))?.seed.reveal(), SEED)
  await t.rejects(store.twoFactors.find(alice.id), { code: 'store', message: /can't be decrypted/ })
  await store.close()
})

t.test('a seed can’t be read with another key, nor after it was changed', async (t) => {
  const { folder, database, key } = await usedFolder(t)
  const first = openStore(folder, undefined)
  const { id } = (await first.accounts.findByUsername('alice'))!
  await first.twoFactors.enable(GATE_CONTEXT, id, new Secret(SEED, 'two-factor seed'), [new Secret('h', 'hash')], NOON)
  await first.close()
  copyFileSync(key, `${key}.right`)
  writeFileSync(key, Buffer.alloc(32, 1).toString('base64'))
  t.throws(() => openStore(folder, undefined), { code: 'store', message: /is not the key of this database/ })
  copyFileSync(`${key}.right`, key)
  for (const sealed of ['', 'v1.', 'v1.AAAA', 'v2.AAAA', `v1.${'A'.repeat(80)}`]) {
    onFile(database, (file) => file.prepare('UPDATE two_factors SET sealed_seed = ?').run(sealed))
    const store = openStore(folder, undefined)
    await t.rejects(store.twoFactors.find(id), { code: 'store' }, sealed)
    await store.close()
  }
})

t.test('a key is made once, may lie elsewhere, and is refused when it is none', async (t) => {
  const { folder, key } = await usedFolder(t)
  const text = readFileSync(key, 'utf8')
  t.equal(Buffer.from(text, 'base64').length, 32)
  await openStore(folder, undefined).close()
  t.equal(readFileSync(key, 'utf8'), text)

  const elsewhere = join(t.testdirName, 'elsewhere')
  await openStore(join(t.testdirName, 'other'), elsewhere).close()
  t.equal(modeOf(elsewhere), '600')
  t.throws(() => openStore(folder, `${elsewhere}.lost`), {
    code: 'store',
    message: /is missing, but the database is encrypted/,
  })
  for (const wrong of ['', 'no key', Buffer.alloc(31).toString('base64'), Buffer.alloc(33).toString('base64')]) {
    writeFileSync(key, wrong)
    t.throws(() => openStore(folder, undefined), {
      code: 'store',
      message: /is not a key: it must contain the base64 of 32/,
    })
    t.equal(readFileSync(key, 'utf8'), wrong, 'and is left as it was')
  }
  const nowhere = join(t.testdirName, 'no', 'such', 'folder')
  const fresh = join(t.testdirName, 'fresh')
  t.throws(() => openStore(fresh, nowhere), { code: 'store', message: /the key .* can't be used/ })
})

t.test('a database of a newer gitgate is refused, and left as it was', async (t) => {
  const { folder, database } = await usedFolder(t)
  onFile(database, (file) => file.pragma('user_version = 999'))
  t.throws(() => openStore(folder, undefined), {
    code: 'store',
    message: /has schema 999.*; install the newer gitgate/,
  })
  t.equal(
    onFile(database, (file) => file.pragma('user_version', { simple: true })),
    999,
  )
})

t.test('a file that is no database is refused, and left as it was', async (t) => {
  const folder = t.testdir({ 'gitgate.sqlite3': 'this is my diary, and no database at all'.repeat(100) })
  const before = readFileSync(join(folder, 'gitgate.sqlite3'))
  t.throws(() => openStore(folder, undefined), { code: 'store', message: /gitgate\.sqlite3 can't be used/ })
  t.ok(readFileSync(join(folder, 'gitgate.sqlite3')).equals(before))
})

t.test('a database that another program made is refused, whatever its version', async (t) => {
  const root = t.testdir({ 'foreign-0': {}, 'foreign-1': {} })
  for (const version of [0, 1]) {
    const folder = join(root, `foreign-${version}`)
    onFile(join(folder, 'gitgate.sqlite3'), (file) => {
      file.exec('CREATE TABLE diary (entry text)')
      file.pragma(`user_version = ${version}`)
    })
    t.throws(() => openStore(folder, undefined), { code: 'store' }, `version ${version}`)
    const tables = onFile(join(folder, 'gitgate.sqlite3'), (file) =>
      file.prepare('SELECT name FROM sqlite_master').all(),
    )
    t.strictSame(tables, [{ name: 'diary' }])
  }
  t.throws(() => openStore(join(root, 'foreign-0'), undefined), {
    message: /tables that gitgate didn't create/,
  })
})

t.test('a data folder that is a file, or lies under one, is refused', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  for (const folder of [file, join(file, 'data')])
    t.throws(() => openStore(folder, undefined), { code: 'store', message: /the data folder .* can't be used/ }, folder)
})

// Files that root leaves in the folder would lock out the gate, which runs as its owner.
const skip = process.geteuid?.() === 0 ? false : 'only root can give a folder away'
t.test('a folder of another user is refused, and nothing is made in it', { skip }, async (t) => {
  const folder = t.testdir({})
  chownSync(folder, 12_345, 12_345)
  t.throws(() => openStore(folder, undefined), {
    code: 'store',
    message: /belongs to user 12345 and you are 0; .* sudo -u/,
  })
  t.strictSame(readdirSync(folder), [])
})

t.test('programs that start at once make one schema and one key, and none of them fails', async (t) => {
  const folder = join(t.testdir(), 'data')
  const starting = Array.from({ length: 4 }, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', OPENER, folder], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const closed = once(child, 'close')
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await once(child.stdout, 'data')
    return { child, end: async () => [(await closed)[0] as number, said] }
  })
  const programs = await Promise.all(starting)
  // All have loaded; now they open.
  for (const { child } of programs) child.stdin.end('go')
  for (const { end } of programs) t.strictSame(await end(), [0, ''])
  const files = readdirSync(folder).filter((name) => name.startsWith('key'))
  t.strictSame(files, ['key'], 'no draft of a key is left')
  const store = openStore(folder, undefined)
  t.equal((await store.accounts.list()).length, 4)
  for (const { id } of await store.accounts.list()) t.equal((await store.twoFactors.find(id))?.seed.reveal(), SEED)
  t.match(await store.audit.verify(), { rows: 8, flaw: undefined }, 'they have written one chain')
  await store.close()
  t.ok(existsSync(join(folder, 'gitgate.sqlite3')))
})
