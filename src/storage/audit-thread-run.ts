// The entry point of the thread that writes the audit log.
import { parentPort, workerData } from 'node:worker_threads'
import type { AuditEvent } from '../domain/audit/event.js'
import type { Batch, AuditThreadData, BatchResult } from './audit-thread.js'
import { messageOf } from '../core/errors.js'
import { openStore } from './open.js'
import { redactTokens } from '../domain/tokens/token-secret.js'

const { data, keyFile } = workerData as AuditThreadData
const store = openStore(data, keyFile, { redact: redactTokens })
let writing = Promise.resolve()

parentPort?.on('message', (message: Batch | 'end') => {
  writing = writing.then(() => (message === 'end' ? end() : write(message)))
})

async function write({ id, events }: Batch): Promise<void> {
  let reply: BatchResult = { id }
  try {
    await store.audit.record(
      (JSON.parse(events) as AuditEvent[]).map((event) => ({ ...event, at: new Date(event.at) })),
    )
  } catch (error) {
    reply = { id, failure: messageOf(error) }
  }
  parentPort?.postMessage(reply)
}

async function end(): Promise<void> {
  parentPort?.close()
  await store.close()
}
