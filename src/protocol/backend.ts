import type { Readable, Writable } from 'node:stream'
import type { GitRequest } from './git-request.js'
import type { NameRule, RepositoryPath } from './repository-path.js'

/** The client's account, for the backend's hooks and log; never the credential. */
export type Requester = {
  readonly username: string
  /** The token's number; absent for a password. */
  readonly tokenId?: number
  /** Whether it may push some refs only, so that a first push must not choose the default branch. */
  readonly isLimited?: boolean
}

/** The client's preferences for the response, passed on unchanged. */
export type ClientPreferences = {
  readonly accept?: string
  readonly acceptEncoding?: string
  readonly acceptLanguage?: string
  readonly userAgent?: string
}

/** An authorised request, as a backend gets it. */
export type BackendRequest = GitRequest & {
  /** The body as the client sent it; empty for an advertisement. */
  readonly body: Readable
  /** How the body is encoded; `undefined`: not at all. */
  readonly contentEncoding: 'gzip' | undefined
  /** The body's length in bytes; `undefined` for a chunked body. */
  readonly contentLength: number | undefined
  /** The `Git-Protocol` header, such as `version=2`; already checked. */
  readonly gitProtocol: string | undefined
  readonly preferences: ClientPreferences
  /** The client's address. */
  readonly clientAddress: string
  /** `undefined` for an anonymous reader. */
  readonly requester: Requester | undefined
  readonly slotRequest: SlotRequest
  /** For a push: branches may only be fast-forwarded. Only for a backend that {@link Backend.checksFastForward}. */
  readonly fastForwardOnly?: boolean
  /** Whether other clients that send the same request may get the response, too. */
  readonly isShared?: boolean
  /** Aborted when the client has left. Whatever the backend runs for this request must then end. */
  readonly signal: AbortSignal
}

/** Writes the response to a request. This is all that lower layers call upwards. */
export interface ResponseWriter {
  /**
   * Sends the status 200 and Git's headers, once. A buffer that is written to the result may be reused when the write's
   * callback is called.
   *
   * @returns where the body is written to; the caller leaves it open
   */
  begin(head?: ResponseHead): Writable

  /** Called now and then while the request waits for a slot. */
  onQueued(queue: QueueCounts): void

  /** How far the transfer is. */
  progress(): TransferProgress
}

/** How far a transfer is. */
export type TransferProgress = {
  /** Bytes that the client has sent and received. */
  readonly bytes: number
  /** Whether the transfer waits for the client, to read or to send more. */
  readonly waitsForClient: boolean
}

/** What admission depends on. */
export type SlotRequest = {
  /** The account that the slot counts for, or a client address. */
  readonly account: string
  /** Whether it belongs to the class of small requests, which don't wait for large ones. */
  readonly isSmall: boolean
  /** Calls a function with the account of each client that joins this request. The first slot for any of them is taken. */
  readonly onJoin?: (join: (account: string) => void) => void
}

/** How many requests run, and how many wait for a slot. */
export type QueueCounts = { readonly running: number; readonly waiting: number }

/** What a backend knows about its response before the first byte. */
export type ResponseHead = {
  /** How the body is encoded already. */
  readonly contentEncoding?: string
  readonly contentLength?: number
  readonly cacheControl?: string
  /** Whether the handler may compress the body for a client that accepts it. */
  readonly compressible?: boolean
}

/** Why a backend refuses a request: by status and text, or because it has the repository under another address. */
export type BackendRefusal =
  | {
      readonly kind: 'upstream-refused'
      /** 400 to 599, but neither 401, 404 nor 407. */
      readonly status: number
      /** Plain text in lines, cleaned; may be empty. */
      readonly text: string
      /** Seconds. */
      readonly retryAfter?: number
    }
  | { readonly kind: 'upstream-moved'; readonly location: string }

/** How a request ended for the backend. */
export type ServeOutcome =
  /** The complete response was written. `failure`: it reports that a program failed. `cache`: what the response cache did. */
  | { readonly kind: 'answered'; readonly failure?: string; readonly cache?: CacheResult }
  /** The backend has no such repository. Nothing was written yet. */
  | { readonly kind: 'missing' }
  /** Nothing was written yet, and the backend says why in its own words. `reason` is for the log. */
  | { readonly kind: 'refused'; readonly reason: string; readonly refusal: BackendRefusal }
  /** Nothing was written yet, so a refusal can still be sent. */
  | { readonly kind: 'failed'; readonly reason: string; readonly fault: Fault }
  /** The response began and can't be completed: the client must see a broken transfer, never a short response. */
  | { readonly kind: 'broken'; readonly reason: string }

/**
 * What the response cache did for a request: it had the response (`hit`), joined it to a response that was being produced
 * (`coalesced`), produced one (`miss`), or let the backend respond to this request alone (`bypass`).
 */
export type CacheResult = 'hit' | 'coalesced' | 'miss' | 'bypass'

/** The cause of a failure: the request, a backend that failed or can't be reached, one that didn't respond in time, or a full queue. */
export type Fault = 'request' | 'backend' | 'silence' | 'overloaded'

/** The targets of the refs of a push, in the order of its commands; `undefined`: unknown. */
export type RefTargets = readonly (string | undefined)[]

/** Serves one phase of a request. */
export type BackendMethod = (request: BackendRequest, response: ResponseWriter) => Promise<ServeOutcome>

/** A Git server behind the gate: the embedded one, an upstream, or limits and a cache over either. */
export interface Backend {
  /**
   * Whether the repository exists. `unknown`: only a request for it would tell; `unavailable`: no repository can be reached
   * now.
   */
  find(repository: RepositoryPath): Promise<'found' | 'missing' | 'unknown' | 'unavailable'>

  /** Which names its repositories may have. */
  readonly names: NameRule

  /** `GET info/refs`, for either service. */
  readonly advertise: BackendMethod

  /** `POST git-upload-pack`: a fetch, or with protocol version 2 a list of refs. */
  readonly uploadPack: BackendMethod

  /** `POST git-receive-pack`: a push. */
  readonly receivePack: BackendMethod

  /** Whether it can itself refuse the forced updates of branches in a push, and accept the rest. */
  readonly checksFastForward: boolean

  /**
   * Resolves symbolic refs. Absent if only the server knows.
   *
   * @param refs the bytes of full names
   * @returns one for each name: the name itself if it is not symbolic, `undefined` if that isn't known
   */
  readonly followRefs?: (repository: RepositoryPath, refs: readonly Buffer[]) => Promise<RefTargets>

  /** Creates repositories on their first push; absent if the gate creates none. */
  readonly creation?: Creation

  /** Tells whether a repository has changed; absent if only the server knows. */
  readonly freshness?: Freshness
}

/** What a cached response depends on. Each is an opaque text; equal texts mean equal states. */
export type RepositoryState = {
  /** Which repository it is: path, inode and birth time of its folder. */
  readonly identity: string
  /** What changes Git's responses besides refs: config, config.worktree, shallow, grafts, alternates. */
  readonly configuration: string
  /** Everything that a response can depend on: refs, HEAD, configuration, identity. */
  readonly fingerprint: string
}

/** The refs of a repository, including hidden ones but not `HEAD`. Names are Git's bytes read as Latin-1. */
export type RefList = {
  /** Object IDs by ref name, such as `refs/heads/main`, in git's order. */
  readonly ids: ReadonlyMap<string, string>
  /** All of those IDs. */
  readonly tips: ReadonlySet<string>
}

/** The part of a backend that tells whether its repositories have changed. */
export interface Freshness {
  /**
   * The current state, read after this call. Any later change leads to another fingerprint; to be sure of that may take some
   * 20 ms after a change.
   *
   * @returns `undefined` if responses of the repository can't be cached now
   */
  state(repository: RepositoryPath): Promise<RepositoryState | undefined>

  /** Reports that a push may have changed the repository: its fingerprint changes, whatever its files show. */
  changed(repository: RepositoryPath): void

  /**
   * A text for the set of objects, read after this call. It changes when objects are added or removed.
   *
   * @returns `undefined` if it is unknown
   */
  objects(repository: RepositoryPath): Promise<string | undefined>

  /**
   * All refs of a repository in that state, from memory if they are known.
   *
   * @param state the result of {@link state}
   * @returns `undefined` if the repository is in another state now
   */
  refs(repository: RepositoryPath, state: RepositoryState): Promise<RefList | undefined>
}

/** The part of a backend that creates repositories. */
export interface Creation {
  /** Why a repository of this path can't be created, or `undefined` if a push may create it. */
  obstacle(repository: RepositoryPath): Promise<string | undefined>

  /** Creates an empty repository for the first push to it. No error if another push was first. */
  create(repository: RepositoryPath): Promise<void>

  /** The advertisement of a repository that the coming push will create. */
  readonly advertiseUnborn: BackendMethod
}
