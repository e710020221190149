import type { CpuAccount } from '../accounting/account.js'

/** The servers that are measured, by the names that the tables show. */
export type PeerName =
  | 'gitgate'
  | 'gitgate --no-shield'
  | 'gitgate --workers 2'
  | 'gitgate --workers 2 --no-shield'
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
  /** The server that it stands before. */
  readonly upstream?: Peer
}

/** Those that ask for no credentials, so that git saves the round trip of the 401. */
export const OPEN: readonly PeerName[] = ['Apache + git http-backend', 'node-git-server', 'http-proxy']

/** Seconds of CPU of a peer and of what it stands before. */
export function wholeCpu({ cpu, upstream }: Peer): number {
  return cpu.seconds() + (upstream === undefined ? 0 : wholeCpu(upstream))
}
