import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

/** Connections to one upstream. */
export type Connections = {
  /** For requests without a body: connections are used again, and a request that met a closed one is sent again. */
  readonly reused: HttpAgent
  /** For requests with a body, which can't be sent twice: each has a connection that nobody used before. */
  readonly fresh: HttpAgent
  readonly close: () => void
}

// Idle ones only: how many run at once is limited elsewhere.
const MAX_IDLE = 32

/** Both kinds keep alive: http-proxy without an agent closes each connection, and loses an early answer to a push. */
export function openConnections(isTls: boolean): Connections {
  const make = (): HttpAgent => {
    const options = { keepAlive: true, maxFreeSockets: MAX_IDLE }
    return isTls ? new HttpsAgent(options) : new HttpAgent(options)
  }
  const [reused, fresh] = [make(), make()]
  fresh.keepSocketAlive = () => false
  return {
    reused,
    fresh,
    close() {
      reused.destroy()
      fresh.destroy()
    },
  }
}
