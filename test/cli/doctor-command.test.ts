import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificates } from '../acceptance/certificates.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { requireProgram } from '../acceptance/programs.js'
import { freePort } from '../backends/backend.js'
import { httpUpstream } from '../git/upstream/stand-in.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { withUmask } from '../../src/core/umask.js'

type Diagnosis = { check: string; status: string; message: string; remedy: string | null }

/** Runs `gitgate doctor`. @returns the diagnoses by check, and the exit status */
async function consult(cli: GitgateCli, ...args: string[]) {
  const { status, stdout, stderr } = await cli.run(['doctor', '--json', ...args])
  const diagnoses = JSON.parse(stdout) as Diagnosis[]
  for (const { check, status, remedy } of diagnoses)
    t.equal(remedy === null, status === 'ok', `${check} is ${status}, with a remedy unless it is ok`)
  return { status, stderr, by: Object.fromEntries(diagnoses.map((diagnosis) => [diagnosis.check, diagnosis])) }
}

t.test('a healthy gate', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  t.match(await consult(cli), { status: 0, by: { data: { status: 'warning', message: /doesn't exist yet/ } } })
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'team/app'])
  const { status, stderr, by } = await consult(cli)
  t.strictSame([status, stderr], [0, ''])
  t.match(by, {
    git: { message: /^2\./ },
    database: { message: 'sound' },
    repositories: { message: /^1 in / },
    clock: { status: 'ok' },
  })
  t.match(await cli.ask(['doctor']), /^ok +permissions .*\nok +git +2\./s)
})

t.test('what is wrong with data, repositories and configuration', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  await cli.ask(['user', 'add', 'alice'])
  chmodSync(join(folder, 'data', 'gitgate.sqlite3'), 0o644)
  const first = await consult(cli, '--repo', 'a/b')
  t.match(first, {
    status: 1,
    stderr: 'gitgate: one problem\n',
    by: { permissions: { status: 'problem', remedy: /^chmod go= .*sqlite3$/ } },
  })
  t.equal((await consult(cli)).status, 0, 'any command that opens the store closes it off')

  mkdirSync(join(folder, 'repos', 'api', 'x.git', 'objects'), { recursive: true })
  mkdirSync(join(folder, 'repos', 'api', 'x.git', 'refs'))
  writeFileSync(join(folder, 'repos', 'api', 'x.git', 'HEAD'), 'ref: refs/heads/main\n')
  t.match((await consult(cli)).by, { repositories: { status: 'problem', message: /own URLs: api\/x$/ } })

  const behindProxy = new GitgateCli(folder, { GITGATE_PUBLIC_URL: 'https://git.example.com' })
  t.match((await consult(behindProxy)).by, { proxy: { status: 'warning', remedy: /GITGATE_TRUSTED_PROXIES/ } })
  const open = new GitgateCli(folder, { GITGATE_HOST: '0.0.0.0' })
  t.match((await consult(open)).by, { proxy: { status: 'warning', message: /plain HTTP/ } })
  const noGit = new GitgateCli(folder, { GITGATE_GIT: '/nowhere/git' })
  t.match((await consult(noGit)).by, { git: { status: 'problem', message: /can't be run/ } })
  writeFileSync(join(folder, 'data', 'gitgate.sqlite3'), 'x'.repeat(10_000))
  t.match((await consult(cli)).by, { database: { status: 'problem', message: /not a database/ } })
})

t.test('repositories that other programs can not read, that everybody can, or that are slow', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  await withUmask(0o022, () => cli.ask(['repo', 'create', 'team/app']))
  const repository = join(folder, 'repos/team/app.git')
  t.strictSame(
    Object.keys((await consult(cli)).by).filter((check) => /modes|refs/.test(check)),
    [],
  )

  chmodSync(join(folder, 'repos'), 0o755)
  const isPrivate = (statSync(join(folder, '..')).mode & 0o001) === 0
  if (!isPrivate)
    t.match((await consult(cli)).by, { 'file-modes': { status: 'warning', message: /every user/, remedy: /chmod o=/ } })
  chmodSync(join(folder, 'repos'), 0o750)
  writeFileSync(join(repository, 'packed-refs'), '', { mode: 0o600 })
  t.match((await consult(cli)).by, {
    'file-modes': { status: 'warning', message: /team\/app/, remedy: /chmod -R g\+rX/ },
  })

  mkdirSync(join(repository, 'refs/many'))
  for (let i = 0; i <= 300; i++) writeFileSync(join(repository, 'refs/many', String(i)), '')
  t.match((await consult(cli)).by, { refs: { status: 'warning', message: /team\/app/, remedy: /pack-refs --all/ } })
})

t.test('a clock that was set back, and a certificate', { skip: requireProgram('openssl') }, async (t) => {
  const folder = temporaryFolder(t)
  const { cert, key } = makeCertificates(folder)
  const cli = new GitgateCli(folder, { GITGATE_TLS_CERT: cert, GITGATE_TLS_KEY: key })
  await cli.ask(['user', 'add', 'alice'])
  t.match((await consult(cli)).by, {
    tls: { status: 'warning', message: /the certificate expires at/, remedy: /renew/ },
  })
  const wrong = new GitgateCli(folder, { GITGATE_TLS_CERT: cert, GITGATE_TLS_KEY: join(folder, 'ca.key') })
  t.match((await consult(wrong)).by, { tls: { status: 'problem', message: /can't be used/ } })
  const { default: SQLite } = await import('better-sqlite3')
  const database = new SQLite(join(folder, 'data', 'gitgate.sqlite3'))
  database.exec(`UPDATE accounts SET created_at = ${Date.now() + 86_400_000}`)
  database.close()
  t.match((await consult(cli)).by, { clock: { status: 'problem', remedy: /NTP/ } })
})

t.test('the server behind the gate, and who gets in past it', async (t) => {
  const cli = (url: string) =>
    new GitgateCli(temporaryFolder(t), { GITGATE_UPSTREAM: url, GITGATE_UPSTREAM_AUTHORIZATION: 'Basic c2VjcmV0' })
  type Answer = (response: ServerResponse, credential: string | undefined) => void
  let answer: Answer = (response) => void response.writeHead(200).end()
  const upstream = await httpUpstream(t, (request, response) => answer(response, request.headers.authorization))
  const ask = async () => (await consult(cli(upstream.url), '--repo', 'team/app')).by

  t.match(await ask(), {
    upstream: { status: 'ok' },
    bypass: { status: 'ok', message: /anybody on this machine can push/ },
  })
  answer = (response, credential) => void response.writeHead(credential === 'Basic c2VjcmV0' ? 200 : 401).end()
  t.match(await ask(), { upstream: { status: 'ok' }, bypass: { message: /refuses requests without credentials/ } })
  answer = (response) => void response.writeHead(401).end()
  t.match(await ask(), { upstream: { status: 'problem', remedy: /GITGATE_UPSTREAM_AUTHORIZATION/ } })
  answer = (response) => void response.writeHead(404).end()
  t.match(await ask(), { upstream: { status: 'problem', message: /has no team\/app/ } })
  t.match((await consult(cli(upstream.url))).by, { bypass: { status: 'warning', remedy: /--repo/ } })
  const away = await consult(cli(`http://127.0.0.1:${await freePort()}`))
  t.match(away, { status: 1, by: { upstream: { status: 'problem', message: /can't be reached/ } } })
})
