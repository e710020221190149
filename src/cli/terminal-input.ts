import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import type { Terminal } from './terminal-output.js'

// More than any secret needs; a mistaken `< big-file` must not fill the memory.
const MAX_INPUT_BYTES = 65_536

/** Whether gitgate can prompt: standard input and standard error are a terminal. */
export function isInteractive({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true
}

/**
 * Reads a secret: typed without echo on a terminal, else the first line of standard input. Never from a flag, which
 * every user of the machine could read.
 *
 * @param label what it is, such as `password`
 * @throws GitgateError `usage` if there is none
 */
export async function readSecret(terminal: Terminal, label: string): Promise<Secret> {
  const text = isInteractive(terminal) ? await askSecret(label) : await readFirstLine(terminal)
  if (text === '')
    throw new GitgateError('usage', `no ${label} on standard input; pass it with: printf '%s' "$SECRET" | gitgate …`)
  return new Secret(text, label)
}

/**
 * Reads a new secret, typed twice on a terminal.
 *
 * @throws GitgateError `usage` if there is none, or the two differ
 */
export async function readNewSecret(terminal: Terminal, label: string): Promise<Secret> {
  const secret = await readSecret(terminal, label)
  if (isInteractive(terminal) && (await askSecret(`${label}, again`)) !== secret.reveal()) {
    throw new GitgateError('usage', `the two entries differ; nothing was changed`)
  }
  return secret
}

/**
 * Asks for confirmation on a terminal before something is deleted. Scripts aren't asked.
 *
 * @throws GitgateError `usage` if the answer is no
 */
export async function confirmDeletion(terminal: Terminal, question: string, isConfirmed: boolean): Promise<void> {
  if (isConfirmed || !isInteractive(terminal)) return
  const { confirm } = await import('@clack/prompts')
  const answer = await confirm({ message: question, initialValue: false, output: process.stderr })
  if (answer !== true) throw new GitgateError('usage', 'nothing was changed')
}

async function askSecret(label: string): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts')
  const answer = await password({ message: label, output: process.stderr })
  if (isCancel(answer)) throw new GitgateError('usage', 'nothing was changed')
  return answer
}

/** Reads standard input up to an empty line or its end. @throws GitgateError `usage` if it is too long */
export async function readLines({ stdin }: Terminal): Promise<string[]> {
  const lines = (await readUntil(stdin, /\n\r?\n/)).split(/\r?\n/)
  const end = lines.indexOf('')
  return end === -1 ? lines : lines.slice(0, end)
}

async function readFirstLine({ stdin }: Terminal): Promise<string> {
  return (await readUntil(stdin, /\n/)).split(/\r?\n/, 1)[0] ?? ''
}

async function readUntil(stdin: Terminal['stdin'], end: RegExp): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk)
    chunks.push(bytes)
    length += bytes.length
    if (length > MAX_INPUT_BYTES) throw new GitgateError('usage', 'standard input is too long')
    if (end.test(Buffer.concat(chunks).toString('latin1'))) break
  }
  return Buffer.concat(chunks).toString('utf8')
}
