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

// For what a worker does after its last transfer.
const WORKER_SHUTDOWN_EXTRA_MS = 10_000

/** A gate with as many processes as configured, or this worker's part of one. */
export async function createClusterGate(config: Config, dependencies: GateDependencies): Promise<Gate> {
  if (cluster.isWorker) return await createWorkersGate(config, dependencies)
  return config.workers === 1 ? await createGate(config, dependencies) : createSupervisedGate(config, dependencies)
}

/** The gate in the primary, which serves nobody itself. */
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
        shutdownTimeoutMs: config.shutdownTimeout + WORKER_SHUTDOWN_EXTRA_MS,
        heartbeatMs: intervals.heartbeatMs,
      })
      const said = await supervisor.start()
      if (said.kind === 'failed') throw new GitgateError(said.code as ErrorCode, said.message)
      const { served, description } = said.about as Served
      const about = { served, description: { ...description, workers: String(config.workers) } }
      await services.begin(config.publicUrl ?? said.url, about)
      return said.url
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
  // A gate that is not there yet will read the files as they are then.
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
