// Files in repositories have the modes that git gives them under the umask that the gate was started with, so that a web viewer or
// a backup of another user can read them. The gate's own files are for its user only.
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { withUmask } from '../../src/core/umask.js'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'

const MANY_REFS = 400

type Modes = { readonly file: string; readonly object: string; readonly folder: string }

// What git itself gives: Documentation/config/core.txt, core.sharedRepository.
const BY_SHARED_REPOSITORY: Readonly<Record<string, Modes>> = {
  unset: { file: '644', object: '444', folder: '755' },
  group: { file: '664', object: '444', folder: '2775' },
  '0640': { file: '640', object: '440', folder: '2750' },
  all: { file: '664', object: '444', folder: '2775' },
}

t.test('a push gives files the modes that core.sharedRepository asks for, and so does packing refs', async (t) => {
  const { cli, git, remote, push } = await startGate(t, 0o022)
  const folderOf = (shared: string) => join(cli.folder, 'repos/team', `${shared}.git`)
  for (const shared of Object.keys(BY_SHARED_REPOSITORY)) {
    if (shared !== 'unset') {
      await withUmask(0o022, () => cli.runProcess(['repo', 'create', `team/${shared}`]))
      await git.run(['--git-dir', folderOf(shared), 'config', 'core.sharedRepository', shared])
    }
    await push(remote(`team/${shared}`))
  }
  for (const [shared, modes] of Object.entries(BY_SHARED_REPOSITORY)) {
    await t.test(shared, async (t) => {
      const folder = folderOf(shared)
      await until(() => existsSync(join(folder, 'packed-refs')) && !existsSync(join(folder, 'refs/heads/many/0')))
      await push(remote(`team/${shared}`), 'again')
      t.equal(mode(join(folder, 'packed-refs')), modes.file)
      t.equal(mode(join(folder, 'refs/heads/again')), modes.file)
      const folders = readdirSync(join(folder, 'objects')).filter((name) => /^[0-9a-f]{2}$/.test(name))
      t.ok(folders.length > 0)
      for (const name of folders) {
        const objects = join(folder, 'objects', name)
        t.equal(mode(objects), modes.folder, name)
        for (const object of readdirSync(objects)) t.equal(mode(join(objects, object)), modes.object, object)
      }
    })
  }
  t.equal(mode(join(cli.folder, 'repos/team')), '755', 'a group that a push has created')
  t.equal(mode(join(cli.folder, 'repos')), '700', 'the root is closed until its owner opens it')
  t.equal(mode(join(cli.folder, 'data')), '700')
  for (const file of ['gitgate.sqlite3', 'key']) t.equal(mode(join(cli.folder, 'data', file)), '600', file)
})

t.test('every worker gives git the umask that the gate was started with', async (t) => {
  const { cli, remote, push } = await startGate(t, 0o022, { GITGATE_WORKERS: '2' })
  // New connections go to the workers in turn.
  for (const path of ['team/a', 'team/b', 'team/c']) {
    await push(remote(path), 'main')
    t.equal(mode(join(cli.folder, 'repos', `${path}.git`)), '755')
    t.equal(mode(join(cli.folder, 'repos', `${path}.git/refs/heads/main`)), '644')
  }
})

t.test('a gate under umask 027 keeps repositories from other users', async (t) => {
  const { cli, remote, push } = await startGate(t, 0o027)
  await push(remote('team/app'), 'main')
  const folder = join(cli.folder, 'repos/team/app.git')
  t.equal(mode(folder), '750')
  t.equal(mode(join(folder, 'refs/heads/main')), '640')
})

async function startGate(t: Test, umask: number, env: Readonly<Record<string, string>> = {}) {
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['access', 'grant', 'alice', 'admin', 'team/**'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 't', '--scopes', 'write_repository'])
  const gate = await withUmask(umask, () => cli.serveProcess(t))
  const git = new GitClient(cli.folder, 'alice')
  const work = await git.init('work')
  const refs = Array.from({ length: MANY_REFS }, (_, i) => `HEAD:refs/heads/many/${i}`)
  return {
    cli,
    git,
    remote: (path: string) => `${gate.url.replace('//', `//alice:${token.trim()}@`)}/${path}.git`,
    push: (remote: string, branch?: string) =>
      git.run(['push', '--quiet', remote, ...(branch === undefined ? refs : [`HEAD:refs/heads/${branch}`])], {
        cwd: work,
      }),
  }
}

function mode(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8)
}
