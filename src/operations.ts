import type { Front } from './http.js'
import { sendText } from './http.js'

/** A part that must work for requests to be served. */
export type ReadinessCheck = {
  readonly name: string
  /** Rejects, or answers false, when the part does not work. */
  readonly check: () => Promise<boolean>
}

/** `/-/health` and `/-/liveness`: the process answers. */
export const health: Front = ({ response }) => sendText(response, 200, 'GitGate OK\n')

/** `/-/readiness`: 200 only when requests would be served; names what is wrong otherwise. */
export function readiness(checks: readonly ReadinessCheck[]): Front {
  return async ({ response }) => {
    const results = await Promise.all(
      checks.map(async ({ name, check }) => [name, (await check().catch(() => false)) ? 'ok' : 'failed'] as const),
    )
    const isReady = results.every(([, status]) => status === 'ok')
    const body = { status: isReady ? 'ok' : 'failed', ...Object.fromEntries(results) }
    sendText(response, isReady ? 200 : 503, `${JSON.stringify(body)}\n`, { 'Content-Type': 'application/json' })
  }
}
