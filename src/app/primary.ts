import cluster from 'node:cluster'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { createOwnLimiters } from './backends.js'
import type { Config } from '../config/config.js'
import type { Served } from './singleton-services.js'
import { singletonServices } from './singleton-services.js'
import type { ErrorCode } from '../core/errors.js'
import { GitgateError } from '../core/errors.js'
import { DEFAULT_INTERVALS } from '../core/intervals.js'
import type { Gate } from './gate.js'
import type { GateDependencies } from './gate-dependencies.js'
import { createGate, newPseudonym } from './gate.js'
import { listenError } from '../server/listener.js'
import { ClusterClient } from '../cluster/cluster-client.js'
import { ClusterCoordinator } from '../cluster/cluster-coordinator.js'
import type { ToWorker } from '../cluster/messages.js'
import { Supervisor } from '../cluster/supervisor.js'

// A worker needs more time after its last transfer, to write what is pending.
const WORKER_SHUTDOWN_MARGIN_MS = 10_000

/** A gate with the configured number of processes, or this worker's part of it. */
export async function createClusterGate(config: Config, dependencies: GateDependencies): Promise<Gate> {
  if (cluster.isWorker) return await createWorkersGate(config, dependencies)
  return config.workers === 1 ? await createGate(config, dependencies) : createSupervisedGate(config, dependencies)
}

/** The gate in the primary, which serves no requests itself. */
function createSupervisedGate(config: Config, dependencies: GateDependencies): Gate {
  const { log, intervals = DEFAULT_INTERVALS } = dependencies
  const services = singletonServices(config, dependencies)
  const coordinator = new ClusterCoordinator(createOwnLimiters(config), async (metrics) =>
    (await import('../server/metrics.js')).aggregateMetrics(metrics, config.workers),
  )
  let supervisor: Supervisor | undefined
  return {
    async listen() {
      await dependencies.store.reserveSpace()
      supervisor = new Supervisor(coordinator, log, {
        count: config.workers,
        // A replacement must listen on the same port.
        variables: { ...config.variables, GITGATE_PORT: String(config.port || (await freePort(config.host))) },
        pseudonym: newPseudonym(),
        umask: dependencies.umask,
        shutdownTimeoutMs: config.shutdownTimeout + WORKER_SHUTDOWN_MARGIN_MS,
        heartbeatMs: intervals.heartbeatMs,
      })
      const started = await supervisor.start()
      if (started.kind === 'failed') throw new GitgateError(started.code as ErrorCode, started.message)
      const { served, description } = started.about as Served
      const about = { served, description: { ...description, workers: String(config.workers) } }
      await services.begin(config.publicUrl ?? started.url, about)
      return started.url
    },
    reload: () => coordinator.reload(),
    async close() {
      const servicesEnded = services.end()
      await supervisor?.end()
      await servicesEnded
      await services.endLast()
    },
  }
}

async function createWorkersGate(config: Config, dependencies: GateDependencies): Promise<Gate> {
  // Nothing to do before the gate exists: it reads the current files when it is created.
  let reload = (): void => undefined
  const client = new ClusterClient(
    (message) => {
      // Without the primary, this worker is about to exit.
      process.send?.(message, undefined, undefined, () => undefined)
    },
    () => reload(),
  )
  process.on('message', (message: ToWorker) => client.onMessage(message))
  const reportFailure = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (error instanceof GitgateError) client.fails(error.code, error.message)
      throw error
    }
  }
  const info = await client.join()
  const gate = await reportFailure(() => createGate(config, { ...dependencies, worker: { client, info } }))
  reload = gate.reload
  return { ...gate, listen: () => reportFailure(() => gate.listen()) }
}

async function freePort(host: string): Promise<number> {
  const server = createServer()
  try {
    server.listen(0, host)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  } catch (error) {
    throw listenError(error as Error, host, 0)
  } finally {
    server.close()
  }
}
