// The help of every command, called in process.
import t from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { compareRecording } from './recording.js'

// On a terminal, commander would wrap the help at its width.
process.stdout.columns = 80

/** The help of a command and of all commands below it. */
async function helpBelow(cli: GitgateCli, command: readonly string[]): Promise<string[]> {
  const args = [...command, '--help']
  const stdout = await cli.ask(args)
  const list = /\nCommands:\n(.*?)(\n\n|$)/s.exec(stdout)?.[1] ?? ''
  const names = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help')
  const below: string[] = []
  for (const name of names) below.push(...(await helpBelow(cli, [...command, name])))
  return [`# gitgate ${args.join(' ')}\n\n${stdout.trimEnd()}\n`, ...below]
}

t.test('the help of every command is as recorded', async (t) => {
  const all = await helpBelow(new GitgateCli(temporaryFolder(t)), [])
  t.ok(all.length > 40, `${all.length} commands`)
  compareRecording(t, 'help.txt', all.join('\n'))
})
