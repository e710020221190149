import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { GitClient } from './acceptance/git-client.js'
import { GitgateCli } from './acceptance/gitgate-cli.js'
import { http } from './acceptance/http-client.js'
import { temporaryFolder } from './acceptance/temporary-folder.js'

const root = join(import.meta.dirname, '..', '..')

type Manifest = { readonly dependencies: Readonly<Record<string, string>> }

t.test('the tarball of npm pack runs with nothing but its dependencies', async (t) => {
  const folder = temporaryFolder(t)
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
    cwd: root,
  })
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'gitgate'), { recursive: true })
  const unpack = [
    '-xzf',
    join(folder, packed.toString().trim()),
    '--strip-components=1',
    '-C',
    join(modules, 'gitgate'),
  ]
  execFileSync('tar', unpack)
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }

  const cli = new GitgateCli(folder, {}, { program: join(modules, 'gitgate', 'bin', 'gitgate.js') })
  t.match((await cli.runProcess(['--version'])).stdout.trim(), /^\d+\.\d+\.\d+$/)
  const gate = await cli.serveProcess(t, ['quickstart', '--port', '0'])
  const line = /^git clone (\S+)$/m.exec(gate.said.stdout)?.[1] ?? ''
  const page = await http(gate.url, '/users/sign_in', { headers: { Accept: 'text/html' } })
  t.match(page.body, '<h1>Sign in</h1>', 'with the templates of the pages')
  const style = /href="([^"]+\.css)"/.exec(page.body)?.[1] ?? ''
  t.equal((await http(gate.url, style)).status, 200, 'and their style sheets')
  t.ok(await new GitClient(folder, 'newcomer').clone(line, 'sample'))
})
