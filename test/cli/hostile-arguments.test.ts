// Attack: whatever a script is made to put among the arguments of a command. Each is taken, or refused with a sentence, in time
// linear in its length.
import fc from 'fast-check'
import t from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { KEPT_SEEDS } from '../seeds.js'

const SMALL = 2_000
const FACTOR = 16
// Quadratic time is 256 times as much.
const MAX_RATIO = 64
const MAX_MS = 100
const TRIES = 3
const HERE = '\u0001'

/** Commands that neither serve nor ask; the argument goes where {@link HERE} stands. */
const COMMANDS = [
  [HERE],
  [`--${HERE}`],
  ['user', 'add', HERE],
  ['user', 'add', 'x', '--email', HERE],
  ['user', HERE, 'alice'],
  ['token', 'create', 'alice', '--name', HERE, '--scopes', 'api'],
  ['token', 'create', 'alice', '--name', 'n', '--scopes', HERE],
  ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api', '--expires-in', HERE],
  ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api', '--max-push-bytes', HERE],
  ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api', '--repo', HERE],
  ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api', '--ref', HERE],
  ['token', 'revoke', HERE],
  ['token', 'inspect', HERE],
  ['access', 'grant', HERE, 'read', 'a'],
  ['access', 'grant', '@all', HERE, 'a'],
  ['access', 'grant', '@all', 'read', HERE],
  ['access', 'explain', 'alice', HERE],
  ['protect', 'add', HERE, 'main'],
  ['protect', 'add', 'a', HERE],
  ['audit', 'list', '--since', HERE],
  ['audit', 'list', '--repo', HERE],
  ['audit', 'verify', '--head', HERE],
  ['settings', 'set', HERE, '1'],
  ['settings', 'set', 'max_personal_access_token_lifetime', HERE],
  ['webhook', 'add', HERE, '--user', 'alice'],
  ['repo', 'create', HERE],
  ['jobs', 'run', HERE],
  ['user', 'show', 'alice', '--json', HERE],
]
const UNITS = [
  'a',
  ' ',
  '-',
  '--',
  '=',
  ',',
  ':',
  '/',
  '..',
  '*',
  '@',
  '%',
  '\n',
  '\u001b[2J',
  '\u202e',
  'é',
  '0',
  '1d',
  'refs/',
  '\\',
  '"',
]
const some = (minLength: number) => fc.array(fc.constantFrom(...UNITS), { minLength, maxLength: 3 })
const shape = fc.record({
  command: fc.constantFrom(...COMMANDS),
  first: some(0),
  unit: some(1),
  last: some(0),
})
const STACK = /\bat .*:\d+:\d+|node:internal|TypeError|RangeError|SQLITE|\bundefined\b/

t.test('any argument is taken or refused, in linear time', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  /** @returns milliseconds of CPU; `undefined` where it ended badly */
  const run = async (command: readonly string[], text: string): Promise<number | undefined> => {
    const before = process.cpuUsage()
    const { status, stderr } = await cli.run(command.map((word) => word.replace(HERE, () => text)))
    const { user, system } = process.cpuUsage(before)
    const isEnded = [0, 1, 2].includes(status) && !STACK.test(stderr)
    // Control characters in a message could hide what a terminal shows.
    return isEnded && !/[\u001b\u202e]/.test(stderr) ? (user + system) / 1_000 : undefined
  }
  const isHandled = async ({ command, first, unit, last }: typeof shape extends fc.Arbitrary<infer T> ? T : never) => {
    const of = (length: number) =>
      [...first, unit.join('').repeat(Math.ceil(length / unit.join('').length)), ...last].join('')
    if ((await run(command, of(1))) === undefined) return false
    for (let tries = 0; tries < TRIES; tries++) {
      const [small, large] = [await run(command, of(SMALL)), await run(command, of(SMALL * FACTOR))]
      if (small === undefined || large === undefined) return false
      if (large <= MAX_MS || large <= MAX_RATIO * small) return true
    }
    return false
  }
  for (const seed of KEPT_SEEDS) await fc.assert(fc.asyncProperty(shape, isHandled), { numRuns: 150, seed })
  t.pass('150 commands')
})
