import type { Readable, Writable } from 'node:stream'
import type { GitRequest } from './git-request.js'
import type { RepositoryPath } from './repository-path.js'

/** Who asks, as a backend may know it: for its hooks and its own log. Never the credential. */
export type Requester = {
  readonly username: string
  /** The token's number; absent where a password was given. */
  readonly tokenId?: number
  /** Whether it may push some refs only, so that nothing follows for others from what it pushes first. */
  readonly isLimited?: boolean
}

/** What a client says of the answers that it can take; passed on as it is. */
export type ClientPreferences = {
  readonly accept?: string
  readonly acceptEncoding?: string
  readonly acceptLanguage?: string
  readonly userAgent?: string
}

/** One HTTP exchange as a backend sees it: bytes in, bytes out, and when to stop. */
export type Exchange = {
  /** The request's body as the client sent it; already ended for an advertisement. */
  readonly body: Readable
  /** How the body is encoded; `undefined`: as it is. */
  readonly contentEncoding: 'gzip' | undefined
  /** The body's length in bytes; `undefined` where it comes in chunks. */
  readonly contentLength: number | undefined
  /** `version=2` and the like, from the `Git-Protocol` header; already checked. */
  readonly gitProtocol: string | undefined
  readonly preferences: ClientPreferences
  /** The client's address. */
  readonly clientAddress: string
  /** Absent for an anonymous reader. */
  readonly requester: Requester | undefined
  readonly slotRequest: SlotRequest
  /**
   * For a push: of branches, only fast-forwards are to be taken. Only where the backend {@link Backend.checksFastForward}.
   */
  readonly fastForwardOnly?: boolean
  /** Told, now and then, that the request waits for a slot. */
  readonly onWait?: (queue: QueueCounts) => void
  /** Whether the answer may be given to others who ask the same, and nobody's name is in it. */
  readonly isShared?: boolean
  /** How far the transfer is; absent where nobody waits for a client. */
  readonly progress?: () => TransferProgress
  /** Aborted when the client has left. Whatever the backend runs for this exchange must then end. */
  readonly signal: AbortSignal
  /**
   * Sends the status 200 and Git's headers; what is written to the result is the answer. Bytes that are written belong to their
   * writer again when the write's callback is called. To be called once.
   */
  readonly begin: (head?: AnswerHead) => Writable
}

/** How far a transfer is. */
export type TransferProgress = {
  /** Bytes that the client has sent and been sent. */
  readonly bytes: number
  /** Whether the next step is the client's: to read what is ready, or to send more. */
  readonly waitsForClient: boolean
}

/** What admission needs to know to give a request a slot. */
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

/** What a backend knows of its answer before the first byte. */
export type AnswerHead = {
  /** The answer is encoded so already. */
  readonly contentEncoding?: string
  readonly contentLength?: number
  readonly cacheControl?: string
  /** The handler may compress it for a client that can take it. */
  readonly compressible?: boolean
}

/** How an exchange ended for the backend. */
export type ServeOutcome =
  /** All of the answer was written. `failure`: it reports the end of a program that failed. `cache`: what the response cache did. */
  | { readonly kind: 'answered'; readonly failure?: string; readonly cache?: CacheResult }
  /** The backend has no such repository. Nothing was written yet. */
  | { readonly kind: 'missing' }
  /** Nothing was written yet, so a refusal can still be sent. */
  | { readonly kind: 'failed'; readonly reason: string; readonly fault: Fault }
  /** The answer began and can't be completed: the client must see a broken transfer, never a short answer. */
  | { readonly kind: 'broken'; readonly reason: string }

/**
 * What the response cache did for a request: it had the response (`hit`), joined it to a response that was being produced
 * (`coalesced`), produced one (`miss`), or let the backend respond to this request alone (`bypass`).
 */
export type CacheResult = 'hit' | 'coalesced' | 'miss' | 'bypass'

/**
 * What a failure is put down to: the request, a backend that failed or can't be reached, one that stayed silent, or too many
 * requests that wait.
 */
export type Fault = 'request' | 'backend' | 'silence' | 'overloaded'

/** What the refs of a push stand for, in the order of its commands; `undefined`: not known. */
export type RefTargets = readonly (string | undefined)[]

/** A Git server behind the gate, whichever: the embedded one, one elsewhere, or a cache over either. */
export interface Backend {
  /**
   * Whether the repository is there; `unknown` where only serving it would tell, `unavailable` where no repository can be
   * reached now.
   */
  find(repository: RepositoryPath): Promise<'found' | 'missing' | 'unknown' | 'unavailable'>

  /** Answers a request that was authorised. */
  serve(request: GitRequest, exchange: Exchange): Promise<ServeOutcome>

  /** Whether it can refuse the forced updates of branches in a push itself, and take the rest. */
  readonly checksFastForward: boolean

  /**
   * The refs that names stand for where they are symbolic. Absent where only the server knows.
   *
   * @param refs the bytes of whole names
   * @returns one for each name: itself where it is not symbolic, `undefined` where that isn't known
   */
  readonly followRefs?: (repository: RepositoryPath, refs: readonly Buffer[]) => Promise<RefTargets>

  /** How a push makes a repository that is not there; absent where the gate makes none. */
  readonly creation?: Creation

  /** How it is known that a repository has not changed; absent where only asking the server would tell. */
  readonly freshness?: Freshness
}

/** What a kept answer of a repository depends on. Each is an opaque text, and equal texts mean the same. */
export type RepositoryState = {
  /** Which repository it is: path, inode and birth time of its folder. */
  readonly identity: string
  /** What configures how git answers: config, config.worktree, shallow, grafts, alternates. */
  readonly configuration: string
  /** Everything that an answer can depend on: refs, HEAD, configuration, identity. */
  readonly fingerprint: string
}

/** The refs of a repository, hidden ones among them; `HEAD` is not. Names are Git's bytes read as Latin-1. */
export type RefList = {
  /** By a ref's name, such as `refs/heads/main`, in git's order: the id of its object. */
  readonly ids: ReadonlyMap<string, string>
  /** All of those ids. */
  readonly tips: ReadonlySet<string>
}

/** The part of a backend that tells whether its repositories have changed. */
export interface Freshness {
  /**
   * The state now, read after this call. Settled: any later change has another fingerprint, which may take some 20 ms
   * after a change to be sure of.
   *
   * @returns `undefined` where nothing of the repository may be kept now
   */
  state(repository: RepositoryPath): Promise<RepositoryState | undefined>

  /** Says that a push may have changed it: its fingerprint is another one from now on, whatever its files show. */
  changed(repository: RepositoryPath): void

  /**
   * Which objects there are, read after this call and settled: once one has come or gone, it is another text.
   *
   * @returns `undefined` where that can't be told
   */
  objects(repository: RepositoryPath): Promise<string | undefined>

  /**
   * All refs of a repository in that state, from memory where they are known.
   *
   * @param state what {@link state} has said
   * @returns `undefined` where it is in another state by now
   */
  refs(repository: RepositoryPath, state: RepositoryState): Promise<RefList | undefined>
}

/** The part of a backend that makes repositories. */
export interface Creation {
  /** Why a repository of this path can't be created, or `undefined` where a push may create it. */
  obstacle(repository: RepositoryPath): Promise<string | undefined>

  /** Creates an empty repository for the first push to it. No error if another push was first. */
  create(repository: RepositoryPath): Promise<void>

  /** The advertisement of a repository that the coming push will create. */
  serveUnborn(request: GitRequest, exchange: Exchange): Promise<ServeOutcome>
}
