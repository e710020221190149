import { readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:http'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { Test } from 'tap'
import type { GateProcess } from '../acceptance/gitgate-cli.js'
import { within } from '../acceptance/until.js'

const MAX_DELAY_MS = 200
const MAX_RESIDENT_BYTES = 400 * 1_048_576
const TRIES = 5
const ANSWER_TIMEOUT_MS = 2_000

/**
 * Does what an attacker does, and asserts by the gate's own figures that it harmed nobody.
 *
 * @param maxCpuMs what it may cost in all, where that is what the attack is about. @default no bound
 */
export async function attack(
  t: Test,
  gate: GateProcess,
  name: string,
  work: () => Promise<void>,
  maxCpuMs = Infinity,
): Promise<void> {
  let delay = Infinity
  let cpu = Infinity
  let after = await measure(gate)
  // A delay that took no CPU of the gate's, that was spent waiting for a processor, or that doesn't come again is the machine's.
  for (let tries = 0; tries < TRIES && (delay > MAX_DELAY_MS || cpu > maxCpuMs); tries++) {
    const before = after
    await work()
    after = await measure(gate)
    cpu = after.cpuMs - before.cpuMs
    delay = Math.min(after.delayMs - (after.waitedMs - before.waitedMs), cpu)
  }
  t.ok(delay <= MAX_DELAY_MS, `${name}: a delay of ${Math.round(delay)} ms`)
  if (maxCpuMs < Infinity) t.ok(cpu <= maxCpuMs, `${name}: ${Math.round(cpu)} ms of CPU`)
  t.ok(after.residentBytes < MAX_RESIDENT_BYTES, `${name}: ${Math.round(after.residentBytes / 1_048_576)} MiB resident`)
}

interface Figures {
  /** The longest delay of the event loop since the last look. */
  readonly delayMs: number
  readonly cpuMs: number
  /** How long the main thread was ready to run, but other processes ran. */
  readonly waitedMs: number
  readonly residentBytes: number
}

/** What the gate has used so far, and its longest delay. */
async function measure(gate: GateProcess): Promise<Figures> {
  let text = ''
  // Connections that the test has just closed may still count.
  const isRead = async (): Promise<boolean> => {
    const answer = await ask(gate, '/-/metrics').catch(() => undefined)
    text = answer?.body ?? ''
    return answer?.status === 200
  }
  if (!(await within(2_000, isRead))) throw new Error('the gate does not answer')
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  return {
    delayMs: figure('nodejs_eventloop_lag_max_seconds') * 1_000,
    cpuMs: figure('process_cpu_seconds_total') * 1_000,
    waitedMs: Number(readFileSync(`/proc/${gate.child.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6,
    residentBytes: figure('process_resident_memory_bytes'),
  }
}

/** Makes one request, over TLS where the gate speaks it, and reads the answer. */
export async function ask(
  { url }: GateProcess,
  path: string,
  options: Omit<RequestOptions, 'path'> & { readonly body?: Buffer | string } = {},
): Promise<{ status: number; body: string }> {
  const { protocol, hostname, port } = new URL(url)
  return await new Promise((resolve, reject) => {
    const target = { hostname, port, path, agent: false as const, ...options }
    const call = protocol === 'https:' ? secureRequest({ ...target, rejectUnauthorized: false }) : request(target)
    call.on('error', reject)
    call.on('response', (response) => {
      const pieces: Buffer[] = []
      response.on('error', reject)
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString() }))
    })
    call.end(options.body)
  })
}

/** Sends bytes over a connection of their own, until something is answered, or time is up. */
export async function send(gate: GateProcess, bytes: Buffer | string): Promise<void> {
  const socket = dial(gate, bytes)
  let isAnswered = false
  socket.once('data', () => (isAnswered = true))
  await within(ANSWER_TIMEOUT_MS / 8, () => isAnswered || socket.destroyed)
  socket.destroy()
}

/** Connects, and sends bytes as they are. */
export function dial({ url }: GateProcess, bytes: Buffer | string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes))
  return socket.on('error', () => undefined)
}
