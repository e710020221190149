import type { Readable, Writable } from 'node:stream'
import type { GitRequest } from './git-request.js'
import type { RepositoryPath } from './repository-path.js'

/** Who asks, as a backend may know it: for its hooks and its own log. Never the credential. */
export type Requester = {
  readonly username: string
  /** The token's number; absent where a password was given. */
  readonly tokenId?: number
}

/** One HTTP exchange as a backend sees it: bytes in, bytes out, and when to stop. */
export type Exchange = {
  /** The request's body, decoded; already ended for an advertisement. */
  readonly body: Readable
  /** `version=2` and the like, from the `Git-Protocol` header; already checked. */
  readonly gitProtocol: string | undefined
  /** Absent for an anonymous reader. */
  readonly requester: Requester | undefined
  /** Aborted when the client has left. Whatever the backend runs for this exchange must then end. */
  readonly signal: AbortSignal
  /** Sends the status 200 and Git's headers; what is written to the result is the answer. To be called once. */
  begin(): Writable
}

/** How an exchange ended for the backend. */
export type ServeOutcome =
  /** All of the answer was written. `failure`: it reports the end of a program that failed. */
  | { readonly kind: 'answered'; readonly failure?: string }
  /** Nothing was written yet, so a refusal can still be sent. */
  | { readonly kind: 'failed'; readonly reason: string; readonly fault: 'client' | 'server' }
  /** The answer began and can't be completed: the client must see a broken transfer, never a short answer. */
  | { readonly kind: 'broken'; readonly reason: string }

/** A Git server behind the gate, whichever: the embedded one, one elsewhere, or a cache over either. */
export interface Backend {
  /** Whether the repository is there; `unknown` where only serving it would tell. */
  find(repository: RepositoryPath): Promise<'found' | 'missing' | 'unknown'>

  /** Why a repository of this path can't be created, or `undefined` where a push may create it. */
  obstacleToCreate(repository: RepositoryPath): Promise<string | undefined>

  /** Creates an empty repository for the first push to it. No error if another push was first. */
  create(repository: RepositoryPath): Promise<void>

  /** The advertisement of a repository that the coming push will create. */
  serveUnborn(request: GitRequest, exchange: Exchange): Promise<ServeOutcome>

  /** Answers a request that was authorised. */
  serve(request: GitRequest, exchange: Exchange): Promise<ServeOutcome>
}
