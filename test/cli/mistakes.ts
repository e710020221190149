import type { Test } from 'tap'
import type { GitgateCli } from '../acceptance/gitgate-cli.js'

/** A command that must fail, what it must say, and its standard input. */
export type Mistake = readonly [args: readonly string[], expected: RegExp, input?: string]

/** Each fails with one line that says what to do, answers nothing, and shows no stack. */
export async function expectMistakes(t: Test, cli: GitgateCli, mistakes: readonly Mistake[]): Promise<void> {
  for (const [args, expected, input] of mistakes) {
    const result = await cli.run(args, input)
    const command = args.join(' ')
    t.ok(result.status === 1 || result.status === 2, `${command} ends with ${result.status}`)
    t.equal(result.stdout, '', command)
    t.match(result.stderr, expected, command)
    t.equal(result.stderr.trim().split('\n').length, 1, command)
  }
}
