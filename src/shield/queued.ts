import type { Backend, Exchange, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { Queue } from './queue.js'

/** What waits apart: a list of refs must not wait for clones, nor a read for a push whose sender takes its time. */
export type Lanes = { readonly refs: Turns; readonly packs: Turns; readonly pushes: Turns }

/** Where one waits for a turn. */
export type Turns = Pick<Queue, 'enter' | 'counts'>

// A push mostly waits for its sender, and costs little meanwhile.
const PUSHES = 4

/**
 * Makes the lanes.
 *
 * @param total runs of git for packs at once; as many for lists of refs, and four times as many pushes
 * @param perRepository of them, on one repository
 * @param waiting requests that may wait in each lane
 */
export function lanesOf(total: number, perRepository: number, waiting: number): Lanes {
  const lane = (factor: number): Queue =>
    new Queue({
      total: total * factor,
      perRepository: perRepository * factor,
      perAccount: Math.max(1, Math.ceil((total * factor) / 2)),
      waiting,
    })
  return { refs: lane(1), packs: lane(1), pushes: lane(PUSHES) }
}

/** A backend of which only so much runs at once; what is more waits for its turn. */
export function queued(backend: Backend, lanes: Lanes): Backend {
  return {
    ...backend,
    async serve(request, exchange) {
      const turn = await laneFor(lanes, request, exchange).enter(request.repository, exchange.turn.of, exchange.signal)
      switch (turn.kind) {
        case 'left':
          return { kind: 'broken', reason: 'the client left' } satisfies ServeOutcome
        case 'crowded':
          return { kind: 'failed', reason: 'too many requests wait for git', fault: 'crowd' } satisfies ServeOutcome
        case 'turn':
          try {
            return await backend.serve(request, exchange)
          } finally {
            turn.end()
          }
      }
    },
  }
}

function laneFor({ refs, packs, pushes }: Lanes, { service, phase }: GitRequest, { turn }: Exchange): Turns {
  if (phase === 'advertisement' || turn.isSmall) return refs
  return service === 'git-receive-pack' ? pushes : packs
}
