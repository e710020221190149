import type { BackendKind } from './backend.js'

/** gitgate's own Git server, which is no other process. */
export const embedded: BackendKind = { name: 'the embedded server', programs: ['git'], cannot: {} }
