import type { GitCommand, ProcessEnd, StartGit } from './git-process.js'
import { closed } from './process.js'
import { killGroup } from './process-group.js'

// What git says to a question of ours.
const LONGEST = 1_048_576

/**
 * Runs a git command to its end. Never rejects.
 *
 * @param input what it reads, if anything
 * @param longest bytes of output; of a git that says more nothing is kept, and it is ended. @default 1 MiB
 */
export async function readOutput(
  start: StartGit,
  command: Omit<GitCommand, 'reads'>,
  input?: string,
  longest = LONGEST,
): Promise<ProcessEnd & { readonly bytes: Buffer }> {
  const { pid, stdin, stdout, ended } = await start({ ...command, reads: input !== undefined })
  // It may end without reading all.
  stdin?.on('error', () => undefined)
  stdin?.end(input)
  const pieces: Buffer[] = []
  let length = 0
  stdout.on('data', (piece: Buffer) => {
    length += piece.length
    if (length <= longest) pieces.push(piece)
    else stdout.destroy()
  })
  await closed(stdout)
  if (length > longest) await killGroup(pid)
  return { ...(await ended), bytes: Buffer.concat(pieces) }
}
