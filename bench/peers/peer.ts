import type { CpuAccount } from '../accounting/account.js'

/** The servers that are measured, by the names that the tables show. */
export type PeerName =
  | 'gitgate'
  | 'gitgate --no-cache'
  | 'gitgate over TLS'
  | 'gitgate --workers 2'
  | 'gitgate --workers 2 --no-cache'
  | 'gitgate before nginx'
  | 'nginx + git http-backend'
  | 'Apache + git http-backend'
  | 'node-git-server'
  | 'nginx proxy_pass'
  | 'http-proxy'

/** A server that runs. All take the same credentials; those in {@link OPEN} let in anybody. */
export type Peer = {
  readonly name: PeerName
  /** Without a slash at its end. */
  readonly url: string
  /** Its own processes. */
  readonly cpu: CpuAccount
  /** Its upstream. */
  readonly upstream?: Peer
  /** How long it works on after its last response. @default 0 */
  readonly settleMs?: number
}

/** Those that ask for no credentials, so that git saves the round trip of the 401. */
export const OPEN: readonly PeerName[] = ['Apache + git http-backend', 'node-git-server', 'http-proxy']

/** Seconds of CPU of a peer's upstream. */
export function upstreamCpu({ upstream }: Peer): number {
  return upstream === undefined ? 0 : upstream.cpu.seconds() + upstreamCpu(upstream)
}
