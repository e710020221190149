// The help of every command, called in process.
import t from 'tap'
import { gitgate } from './in-process.js'
import { compareRecording } from './recording.js'

// On a terminal, commander would wrap the help at its width.
process.stdout.columns = 80

/** The help of a command and of all commands below it. */
async function helpBelow(command: readonly string[]): Promise<string[]> {
  const args = [...command, '--help']
  const { status, stdout } = await gitgate(args, { clock: () => new Date() })
  if (status !== 0) throw new Error(`gitgate ${args.join(' ')} ended with ${status}`)
  const list = /\nCommands:\n(.*?)(\n\n|$)/s.exec(stdout)?.[1] ?? ''
  const names = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help')
  const below: string[] = []
  for (const name of names) below.push(...(await helpBelow([...command, name])))
  return [`# gitgate ${args.join(' ')}\n\n${stdout.trimEnd()}\n`, ...below]
}

t.test('the help of every command is as recorded', async (t) => {
  const all = await helpBelow([])
  t.ok(all.length > 40, `${all.length} commands`)
  compareRecording(t, 'help.txt', all.join('\n'))
})
