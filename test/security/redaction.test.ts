import t from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { basic, http, raw } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { createWorld } from '../acceptance/world.js'
import { httpUpstream } from '../git/upstream/stand-in.js'

// The log of a gate must not hold what it was given, wherever a client puts it: raw, in base64, percent-encoded.

t.test('no secret and no digest appears in what the process writes', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder, { GITGATE_LOG_LEVEL: 'trace' })
  await cli.ask(['user', 'add', 'alice', '--password-stdin'], 'päss:wörd & more%20\n')
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'write_repository'])
  const revoked = await cli.ask(['token', 'create', 'alice', '--name', 'old', '--scopes', 'api'])
  await cli.ask(['token', 'revoke', '2'])
  const enrolment = (await cli.json('user', '2fa', 'enable', 'alice')) as { secret: string; recovery_codes: string[] }
  const gate = await cli.serveProcess(t)
  const secrets = [
    token,
    revoked,
    'päss:wörd & more%20',
    'hunter2-hunter2',
    enrolment.secret,
    ...enrolment.recovery_codes,
  ]

  const git = new GitClient(folder, 'client')
  const local = await git.init('local')
  await git.run(['push', `${gate.url.replace('//', `//alice:${token}@`)}/alice/app.git`, 'main'], { cwd: local })
  for (const secret of secrets) {
    const encoded = encodeURIComponent(secret)
    const asPath = secret.replace(/[^A-Za-z0-9_.-]/g, '')
    for (const [user, password] of [
      ['alice', secret],
      [secret, ''],
      [secret, secret],
      ['alice', `${secret}x`],
    ] as const) {
      await http(gate.url, '/alice/app.git/info/refs?service=git-receive-pack', { user, password })
    }
    await http(gate.url, `/${asPath}/${asPath}.git/info/refs?service=git-upload-pack&private_token=${encoded}`, {
      password: token,
    })
    await http(gate.url, `/${encoded}.git/HEAD?${encoded}`, { password: secret })
    await http(gate.url, `http://${encoded}:${encoded}@host/alice/app.git/info/refs`, {
      headers: { 'PRIVATE-TOKEN': encoded },
    })
    await http(gate.url, '/alice/app.git/info/refs', {
      headers: {
        Authorization: `Bearer ${encoded}`,
        'User-Agent': encoded,
        'X-Forwarded-For': encoded,
        Cookie: encoded,
        'Git-Protocol': encoded,
        Referer: encoded,
      },
    })
    await http(gate.url, '/alice/app.git/git-receive-pack', {
      method: 'POST',
      password: token,
      body: `00${secret}`,
      headers: { 'Content-Type': 'application/x-git-receive-pack-request' },
    })
    await http(gate.url, '/alice/app.git/git-upload-pack', {
      method: 'POST',
      password: token,
      body: `0fff${secret}`,
      headers: { 'Content-Type': 'application/x-git-upload-pack-request' },
    })
    await raw(
      gate.url,
      `GET /${encoded} HTTP/1.1\r\nAuthorization: ${basic('alice', secret)}\r\nbroken header ${encoded}\r\n\r\n`,
    )
  }
  t.equal(await gate.stop(), 0)

  const written = gate.said.stdout + gate.said.stderr
  t.match(written, /"decision":"served"/, 'there is a log to look at')
  t.match(written, /"decision":"refused"/)
  const { hash } = await import('node:crypto')
  for (const secret of secrets) {
    const forms = [
      secret,
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      Buffer.from(secret).toString('base64url'),
      Buffer.from(secret).toString('hex'),
      Buffer.from(`alice:${secret}`).toString('base64').replace(/=+$/, ''),
      Buffer.from(`${secret}:`).toString('base64').replace(/=+$/, ''),
      ...(['hex', 'base64', 'base64url'] as const).map((encoding) => hash('sha256', secret, encoding)),
    ]
    for (const form of forms)
      t.notOk(written.includes(form), written.split('\n').find((line) => line.includes(form)) ?? 'not in the log')
  }
})

t.test('a Git server behind the gate gets no token and no password', async (t) => {
  const received: string[][] = []
  const upstream = await httpUpstream(t, (request, response) => {
    received.push(request.rawHeaders)
    response.writeHead(404).end()
  })
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'write', 'team/**')
  await world.setPassword('alice', 'correct horse battery')
  const folder = await world.git.init('local')
  for (const secret of [await world.token('alice', 'write_repository'), 'correct horse battery']) {
    const remote = world.remote('team/app', secret)
    for (const args of [
      ['ls-remote', remote],
      ['push', remote, 'main'],
    ])
      await world.git.run(args, { cwd: folder, status: 'any' })
    t.notOk(received.flat().some((text) => text.includes(secret) || text.includes(basic('alice', secret))))
  }
  t.equal(received.length, 8, 'each request reached it, for app.git and for app')
  t.notOk(received.flat().some((text) => /authorization/i.test(text)))
})
