import type { Handler } from '../core/http.js'
import { sendText } from '../core/http.js'

/** A part of the gate that readiness looks at. */
export type ReadinessCheck = {
  readonly name: string
  /** Rejects, or answers false, when the part does not work. */
  readonly check: () => Promise<boolean>
  /** What its failure makes of the gate: `degraded` still serves. @default 'failed' */
  readonly otherwise?: 'failed' | 'degraded'
}

/** How a part is, or the gate: as the worst of its parts. */
type State = 'ok' | 'degraded' | 'failed'

/** `/-/health` and `/-/liveness`: the process answers. */
export const health: Handler = ({ response }) => sendText(response, 200, 'GitGate OK\n')

/**
 * `/-/readiness`: 503 when requests would not be served; names each part that is degraded or failed. A degraded gate answers
 * 200: a load balancer that took it out would make an outage of a warning.
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

/** Runs checks. @returns how each part is, by its name */
export async function statesOf(checks: readonly ReadinessCheck[]): Promise<Readonly<Record<string, State>>> {
  const states = await Promise.all(
    checks.map(async ({ name, check, otherwise = 'failed' }) => {
      const isFine = await check().catch(() => false)
      return [name, isFine ? 'ok' : otherwise] as const
    }),
  )
  return Object.fromEntries(states)
}
