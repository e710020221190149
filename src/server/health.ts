import type { Handler } from '../core/http.js'
import { sendText } from '../core/http.js'

/** A part of the gate that readiness checks. */
export type ReadinessCheck = {
  readonly name: string
  /** Rejects, or resolves to false, if the part doesn't work. */
  readonly check: () => Promise<boolean>
  /** The state if the check fails: a `degraded` gate still serves. @default 'failed' */
  readonly otherwise?: 'failed' | 'degraded'
}

/** The state of a part, or of the gate: that of its worst part. */
type State = 'ok' | 'degraded' | 'failed'

/** `/-/health` and `/-/liveness`: the process answers. */
export const health: Handler = ({ response }) => sendText(response, 200, 'GitGate OK\n')

/**
 * `/-/readiness`: 503 if requests wouldn't be served; lists the state of each part. A degraded gate answers 200, because a load
 * balancer that removed it would turn a warning into an outage.
 */
export function readiness(checks: readonly ReadinessCheck[]): Handler {
  return async ({ response }) => {
    const states = await statesOf(checks)
    const all = Object.values(states)
    const status: State = all.includes('failed') ? 'failed' : all.includes('degraded') ? 'degraded' : 'ok'
    const body = `${JSON.stringify({ status, ...states })}\n`
    sendText(response, status === 'failed' ? 503 : 200, body, { 'Content-Type': 'application/json' })
  }
}

/** Runs checks. @returns the state of each part, by its name */
export async function statesOf(checks: readonly ReadinessCheck[]): Promise<Readonly<Record<string, State>>> {
  const states = await Promise.all(
    checks.map(async ({ name, check, otherwise = 'failed' }) => {
      const isFine = await check().catch(() => false)
      return [name, isFine ? 'ok' : otherwise] as const
    }),
  )
  return Object.fromEntries(states)
}
