import type { Backend, Exchange, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { Intervals } from '../../core/intervals.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Turn } from './concurrency-limiter.js'
import { Queue } from './concurrency-limiter.js'
import { SlowTransfers } from './slow-transfers.js'

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
export function queued(
  backend: Backend,
  lanes: Lanes,
  intervals: Pick<Intervals, 'firstProgressMs' | 'slowTransferMs' | 'slowTransferBytesPerSecond'>,
): Backend {
  const slow = new Map(Object.values(lanes).map((lane) => [lane, new SlowTransfers(() => lane.counts, intervals)]))
  return {
    ...backend,
    async serve(request, exchange) {
      const lane = laneFor(lanes, request, exchange)
      const told = tellNowAndThen(intervals.firstProgressMs, () => exchange.onWait?.(lane.counts))
      const turn = await takeTurn(lane, request.repository, exchange).finally(told)
      switch (turn.kind) {
        case 'left':
          return { kind: 'broken', reason: 'the client left' } satisfies ServeOutcome
        case 'crowded':
          return { kind: 'failed', reason: 'too many requests wait for git', fault: 'crowd' } satisfies ServeOutcome
        case 'turn': {
          let isReleased = false
          const release = (): void => {
            if (!isReleased) turn.end()
            isReleased = true
          }
          const watch = slow.get(lane)?.watch(exchange, release)
          try {
            return await backend.serve(request, watch === undefined ? exchange : { ...exchange, signal: watch.signal })
          } finally {
            watch?.stop()
            release()
          }
        }
      }
    },
  }
}

/** Waits for the first turn that any of those has who wait for the answer: light users wait behind no heavy one. */
async function takeTurn(lane: Turns, repository: RepositoryPath, { turn, signal }: Exchange): Promise<Turn> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort()
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  return await new Promise<Turn>((resolve, reject) => {
    const asked = new Set<string>()
    let open = 0
    let taken: Turn | undefined
    const isOver = (): boolean => taken !== undefined
    const ask = async (account: string): Promise<void> => {
      if (isOver() || asked.has(account)) return
      asked.add(account)
      open += 1
      const got = await lane.enter(repository, account, leaving.signal)
      open -= 1
      if (isOver()) {
        if (got.kind === 'turn') got.end()
        return
      }
      // Another may still get one.
      if (got.kind === 'crowded' && open > 0) return
      taken = got
      signal.removeEventListener('abort', leave)
      leave()
      resolve(got)
    }
    const start = (account: string): void => void ask(account).catch(reject)
    start(turn.of)
    turn.others?.(start)
  })
}

// Proxies before the gate take a minute's silence for the end.
const LONGEST_SILENCE = 30_000

/** Calls a function after some time, and then less and less often. @returns to be called when it is over */
function tellNowAndThen(firstMs: number, tell: () => void): () => void {
  let timer: NodeJS.Timeout
  const later = (milliseconds: number): void => {
    timer = setTimeout(() => {
      tell()
      later(Math.min(2 * milliseconds, LONGEST_SILENCE))
    }, milliseconds)
  }
  later(firstMs)
  return () => clearTimeout(timer)
}

function laneFor({ refs, packs, pushes }: Lanes, { service, phase }: GitRequest, { turn }: Exchange): Turns {
  if (phase === 'advertisement' || turn.isSmall) return refs
  return service === 'git-receive-pack' ? pushes : packs
}
