// Runs one test file in a process of its own, as `node FILE` does. Tap's own runner loads three sets of module hooks into
// each process, which doubled the time of the tests.
import { spawn } from 'node:child_process'
import { relative } from 'node:path'

const TIMEOUT_MS = 300_000
// Tap ends what takes too long, and says what it was at; what does not even let tap do so is killed.
const GRACE = 20_000
const LEFT_OPEN = 2_000
const INDENT = '    '

/**
 * Runs the tests of a file.
 *
 * @param {string} root the project's folder
 * @param {string} file its path, compiled
 * @param {{ env?: Record<string, string>, timeoutMs?: number, onStart?: (child: object) => void }} options `env`: variables over
 *   those of this process; `onStart` is handed the process
 * @returns {Promise<{ name: string, seconds: number, failed: boolean, tap: string }>} `tap`: as a subtest of the whole
 */
export async function runFile(root, file, { env: own = {}, timeoutMs = TIMEOUT_MS, onStart = () => undefined } = {}) {
  const started = performance.now()
  const env = { ...process.env, TAP_TIMEOUT: String(timeoutMs / 1_000), ...own }
  const child = spawn(process.execPath, [file], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  onStart(child)
  let output = ''
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text))
  const kill = setTimeout(() => child.kill('SIGKILL'), timeoutMs + GRACE)
  const end = await new Promise((resolve) => {
    const tell = (code, signal) => resolve(code === 0 ? undefined : `exit ${signal ?? code}`)
    child.on('error', (error) => resolve(error.message))
    child.on('close', tell)
    // What a test has left running may hold its output open.
    child.on('exit', (code, signal) => setTimeout(() => tell(code, signal), LEFT_OPEN).unref())
  })
  clearTimeout(kill)
  const milliseconds = performance.now() - started
  const name = relative('build/test', relative(root, file))
  const lines = output.split('\n').map((line) => (line === '' ? '' : INDENT + line))
  const why =
    end === undefined
      ? []
      : [
          '  ---',
          `  ${end}`,
          ...said
            .split('\n')
            .slice(-20)
            .map((line) => `  ${line}`),
          '  ...',
        ]
  const result = `${end === undefined ? '' : 'not '}ok 1 - ${name} # time=${milliseconds.toFixed(0)}ms`
  return {
    name,
    seconds: milliseconds / 1_000,
    failed: end !== undefined,
    tap: [`# Subtest: ${name}`, ...lines, result, ...why, ''].join('\n'),
  }
}
