// Tokens for coding agents: budgets, and a credential helper that keeps the real token out of the sandbox.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { parseBudget } from '../../src/domain/tokens/budget.js'
import { parseRestrictions, UNRESTRICTED } from '../../src/domain/tokens/restriction.js'
import { deriveToken } from '../../src/domain/tokens/derive.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { BLOB, entryOf, packOf } from '../protocol/pack-bytes.js'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireProgram } from './programs.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

for (const kind of [embedded, nginx]) {
  t.test(`budgets: ${kind.name}`, { skip: requireProgram(...kind.programs) }, async (t) => {
    const world = await createWorld(t, {}, kind)
    await world.grant('alice', 'write', 'team/**')
    await world.createRepository('team/app')
    const folder = await world.git.init('app')
    const whole = await world.token('alice', 'write_repository')
    await world.git.run(['push', '-q', world.remote('team/app', whole), 'main'], { cwd: folder })
    const push = async (secret: string, ref: string, ...flags: string[]) =>
      await world.git.run([...flags, 'push', world.remote('team/app', secret), `main:${ref}`], {
        cwd: folder,
        status: 'any',
      })
    const spent = async (id: number) => (await world.store.tokens.find(id))!.spent

    await t.test('a number of pushes', async (t) => {
      const { token, secret } = await world.issue('alice', ['write_repository'], {
        name: 'agent',
        budget: parseBudget('2', undefined),
      })
      t.equal((await push(secret.reveal(), 'a1')).status, 0)
      t.equal((await push(secret.reveal(), 'a2')).status, 0)
      t.match(
        (await push(secret.reveal(), 'a3')).stderr,
        /! \[remote rejected\] main -> a3 \(token "agent" has used up its budget of 2 pushes\)/,
      )
      t.equal((await spent(token.id)).pushes, 2)
      await world.git.run(['ls-remote', world.remote('team/app', secret.reveal())])
    })

    await t.test('a number of bytes, sent whole or in chunks', async (t) => {
      const noise = Array.from({ length: 60_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 0).toString(36)).join(
        '\n',
      )
      await world.git.commit(folder, 'noise.txt', noise)
      for (const flags of [[], ['-c', 'http.postBuffer=65536']]) {
        const { token, secret } = await world.issue('alice', ['write_repository'], {
          name: 'agent',
          budget: parseBudget(undefined, '100k'),
        })
        const { status, stderr } = await push(secret.reveal(), 'big', ...flags)
        t.equal(status, 1)
        t.match(
          stderr,
          /! \[remote rejected\] main -> big \(this push goes beyond the budget of token "agent": 100k in all its pushes\)/,
        )
        t.equal(await world.git.ask(['ls-remote', world.remote('team/app', whole), 'refs/heads/big']), '')
        t.ok((await spent(token.id)).bytes <= 102_400)
        t.equal(
          (await push(secret.reveal(), `small-${flags.length}`, ...flags)).status,
          1,
          'main still brings the noise',
        )
      }
      const { token, secret } = await world.issue('alice', ['write_repository'], {
        name: 'agent',
        budget: parseBudget(undefined, '50M'),
      })
      t.equal((await push(secret.reveal(), 'big', '-c', 'http.postBuffer=65536')).status, 0)
      const { pushes, bytes } = await spent(token.id)
      t.equal(pushes, 1)
      t.ok(bytes > 200_000 && bytes < 700_000, `${bytes} bytes: what was taken and not used is given back`)
    })

    await t.test('many pushes at once never take more than there is', async (t) => {
      const { token, secret } = await world.issue('alice', ['write_repository'], {
        budget: parseBudget('3', undefined),
      })
      const results = await Promise.all(Array.from({ length: 8 }, (_, i) => push(secret.reveal(), `many-${i}`)))
      t.equal(results.filter(({ status }) => status === 0).length, 3)
      t.equal((await spent(token.id)).pushes, 3)
    })

    await t.test('what a derived token pushes is its parent’s, too, and it ends with it', async (t) => {
      const { token: parent } = await world.issue('alice', ['write_repository'], {
        name: 'agent',
        budget: parseBudget('1', undefined),
        restrictions: parseRestrictions(['team/*'], ['agent/*']),
      })
      const rules = issueRules(resolveSettings(await world.store.settings.list()), world.now)
      const derive = async (refs: string[], repositories: string[] = []) =>
        await deriveToken(
          world.store.tokens,
          GATE_CONTEXT,
          await world.account('alice'),
          parent,
          {
            expiry: new Date(world.now.getTime() + DAY),
            restrictions: parseRestrictions(repositories, refs),
            budget: parseBudget(undefined, undefined),
            description: 'test',
          },
          rules,
          world.now,
        )
      const wide = (await derive([])).secret.reveal()
      t.match((await push(wide, 'main')).stderr, /Everything up-to-date|can only push to refs\/heads\/agent\/\*/)
      t.match((await push(wide, 'other')).stderr, /token "agent" can only push to refs\/heads\/agent\/\*/)
      const narrow = (await derive(['agent/7'])).secret.reveal()
      t.match((await push(narrow, 'agent/8')).stderr, /token "agent" can only push to refs\/heads\/agent\/7/)
      t.equal((await push(narrow, 'agent/7')).status, 0)
      t.match((await push(wide, 'agent/9')).stderr, /budget of 1 push\)/)
      const elsewhere = (await derive([], ['other/**'])).secret.reveal()
      t.equal((await world.git.run(['ls-remote', world.remote('team/app', elsewhere)], { status: 128 })).status, 128)
      await world.store.tokens.revoke(GATE_CONTEXT, parent.id, world.now)
      t.match((await push(narrow, 'agent/7')).stderr, /The token "agent" was revoked/)
      t.strictSame(parent.restrictions.within, UNRESTRICTED.within)
    })
  })
}

t.test('of a compressed push the bytes are counted that it unpacks to, and never more than there are', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('alice/app')
  const { token, secret } = await world.issue('alice', ['write_repository'], {
    name: 'agent',
    budget: parseBudget(undefined, '1M'),
  })
  const command = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/x\0 report-status`
  const head = `${(command.length + 4).toString(16).padStart(4, '0')}${command}0000`
  // Git reads on as long as it is a pack.
  const pack = packOf([entryOf(Buffer.alloc(30_000_000), BLOB, 30_000_000, 0)])
  const body = gzipSync(Buffer.concat([Buffer.from(head), pack]))
  const headers = { 'Content-Type': 'application/x-git-receive-pack-request', 'Content-Encoding': 'gzip' }
  const answer = await world.http('/alice/app.git/git-receive-pack', {
    method: 'POST',
    password: secret.reveal(),
    body,
    headers,
  })
  t.match(answer.body, /^.{4}unpack .*ng refs\/heads\/x /s)
  const { bytes } = (await world.store.tokens.find(token.id))!.spent
  t.ok(bytes > body.length && bytes <= 1_048_576, String(bytes))
})

t.test('gitgate credential gives git a token for each operation', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const parent = await cli.ask([
    'token',
    'create',
    'alice',
    '--name',
    'agent',
    '--scopes',
    'write_repository',
    '--ref',
    'agent/*',
  ])
  const file = join(cli.folder, 'token')
  writeFileSync(file, `${parent}\n`, { mode: 0o600 })
  const gate = await cli.serve(t)
  const git = new GitClient(cli.folder, 'sandbox')
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
  const helper = `!'${process.execPath}' '${program}' --data '${join(cli.folder, 'data')}' credential --url ${gate.url} --token-file '${file}'`
  await git.run(['config', '--global', `credential.${gate.url}.helper`, helper])
  await git.run(['config', '--global', `credential.${gate.url}.useHttpPath`, 'true'])
  const folder = await git.init('app')
  const remote = `${gate.url}/alice/app.git`
  await git.run(['push', remote, 'main:agent/1'], { cwd: folder })
  t.match(
    (await git.run(['push', remote, 'main'], { cwd: folder, status: 1 })).stderr,
    /token "agent" can only push to refs\/heads\/agent\/\*/,
  )
  await git.clone(remote, 'clone', '--branch', 'agent/1')
  const tokens = (await cli.json('token', 'list')) as {
    parent_id: number | null
    repositories: string[]
    expires_at_time: string
  }[]
  const derived = tokens.filter(({ parent_id }) => parent_id === 1)
  t.ok(derived.length >= 3, 'one for each operation')
  t.strictSame(derived[0]?.repositories, ['alice/app'])

  const ask = async (operation: string, input: string, ...flags: string[]) =>
    await cli.run(['credential', '--url', gate.url, '--token-file', file, ...flags, operation], input)
  const { host } = new URL(gate.url)
  const minted = (await ask('get', `protocol=http\nhost=${host}\npath=alice/app.git\n\n`, '--expires-in', '90s')).stdout
  const [, password = '', expiry = ''] =
    /^username=alice\npassword=(ggpat-\w+)\npassword_expiry_utc=(\d+)\n$/.exec(minted) ?? []
  t.ok(Math.abs(Number(expiry) - Date.now() / 1_000 - 90) < 60)
  const state = async () => /State +(\w+)/.exec((await cli.run(['token', 'inspect'], password)).stdout)?.[1]
  t.equal(await state(), 'active')
  await ask('erase', `protocol=http\nhost=${host}\npassword=${password}\n\n`)
  t.equal(await state(), 'revoked')
  t.equal((await ask('get', 'protocol=https\nhost=github.com\n\n')).stdout, '', 'no other host gets a token')
  for (const odd of [`${host}/.evil.test`, `${host}#evil`, `evil.test@${host}`, `${host}\\.evil.test`])
    t.equal((await ask('get', `protocol=http\nhost=${odd}\n\n`)).stdout, '', odd)
  for (const odd of ['**', 'alice/*', '../x']) {
    const { stdout, stderr } = await ask('get', `protocol=http\nhost=${host}\npath=${odd}\n\n`)
    t.equal(stdout, '', odd)
    t.match(stderr, /is not a repository path/)
  }
  t.equal((await ask('store', `protocol=http\nhost=${host}\n\n`)).stdout, '')
  t.match(
    (await ask('get', `protocol=http\nhost=${host}\n\n`, '--scopes', 'api')).stderr,
    /can have read_repository, write_repository/,
  )
  writeFileSync(file, `${password}\n`)
  t.match((await ask('get', `protocol=http\nhost=${host}\n\n`)).stderr, /is revoked/)
})
