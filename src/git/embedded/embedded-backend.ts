import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { hasSystemCode } from '../../core/errors.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  Fault,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import { encodePktLine, FLUSH } from '../../protocol/pkt-line.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { EmbeddedFreshness } from './repository-state.js'
import type { GitProgram } from './git-program.js'
import { gitEnvironment, initBare, serviceArguments } from './git-program.js'
import type { GitEnd } from './git-process.js'
import { runGit } from './git-process.js'
import { RefPacking } from './ref-packing.js'
import type { RepositoryFolder } from './repository-folder.js'
import { RunCoalescer } from './run-coalescer.js'
import { followSymbolicRefs, adoptFirstBranch, branchesBesideUnbornHead } from './repository-refs.js'

/** What the embedded server needs. */
export type EmbeddedGitOptions = {
  readonly git: GitProgram
  readonly folder: RepositoryFolder
  /** An empty repository, whose advertisement stands for that of a repository that a push will create. */
  readonly emptyRepository: string
  /** The setting `receive_max_input_size`: the maximum size of a push in MiB, or `null`. */
  readonly receiveMaxInputSize: () => Promise<number | null>
  /** Milliseconds without a push before loose refs are packed. */
  readonly refPackingQuietMs?: number
}

/** The embedded Git server: it starts `git upload-pack` or `git receive-pack` for each request. */
export async function embeddedGit({
  git,
  folder,
  emptyRepository,
  receiveMaxInputSize,
  refPackingQuietMs,
}: EmbeddedGitOptions): Promise<Backend> {
  await makeEmptyRepository(git, emptyRepository)
  const packing = new RefPacking(git, refPackingQuietMs === undefined ? {} : { quietMs: refPackingQuietMs })
  // One by one, they were a tenth of the cost of a cache hit.
  const lookups = new RunCoalescer<RepositoryPath, 'found' | 'missing' | 'unavailable'>()
  const freshness = new EmbeddedFreshness(git, folder)
  const run = async (request: BackendRequest, response: ResponseWriter, repository: string): Promise<GitEnd> => {
    const maxInputSize = request.service === 'git-receive-pack' ? await receiveMaxInputSize() : null
    const isAdvertisement = request.phase === 'advertisement'
    return await runGit({
      start: git.start,
      program: git.path,
      args: serviceArguments(request, repository, maxInputSize),
      env: { ...gitEnvironment(), ...requesterEnvironment(request) },
      input: isAdvertisement ? undefined : decodedBody(request),
      signal: request.signal,
      begin: () => {
        const body = response.begin({ compressible: isAdvertisement })
        if (isAdvertisement) {
          body.write(encodePktLine(`# service=${request.service}\n`))
          body.write(FLUSH)
        }
        return body
      },
    })
  }
  const serve: BackendMethod = async (request, response) =>
    outcomeOf(await run(request, response, folder.locate(request.repository)), request, response)
  const push = async (request: BackendRequest, response: ResponseWriter, repository: string): Promise<GitEnd> => {
    const mayChooseHead = request.requester?.isLimited !== true
    const branches = mayChooseHead ? await branchesBesideUnbornHead(git, repository) : undefined
    const end = await run(request, response, repository)
    await folder.pushEnded(repository, end.killed)
    if (branches !== undefined && end.began) await adoptFirstBranch(git, repository, branches)
    return end
  }

  return {
    find: (repository) =>
      lookups.run(repository, () =>
        Promise.resolve(folder.has(repository) ? 'found' : folder.isUsable() ? 'missing' : 'unavailable'),
      ),

    names: 'own',

    checksFastForward: true,

    followRefs: (repository, refs) => followSymbolicRefs(git, folder.locate(repository), refs),

    freshness,

    advertise: serve,

    uploadPack: serve,

    async receivePack(request, response) {
      const repository = folder.locate(request.repository)
      const pushEnded = packing.pushBegins(repository)
      try {
        return outcomeOf(await push(request, response, repository), request, response)
      } finally {
        freshness.changed(request.repository)
        pushEnded()
      }
    },

    creation: {
      obstacle: (repository) => Promise.resolve(folder.obstacleTo(repository)),

      async create(repository) {
        try {
          await folder.create(git, repository, 'sha1')
        } catch (error) {
          // Another first push has just created it.
          if (!folder.has(repository)) throw error
        }
      },

      async advertiseUnborn(request, response) {
        return outcomeOf(await run(request, response, emptyRepository), request, response)
      },
    },
  }
}

/**
 * Creates the empty repository if it is missing. It appears complete, in one step: gates that start simultaneously on one data folder
 * would disturb each other with `git init`.
 */
async function makeEmptyRepository(git: GitProgram, folder: string): Promise<void> {
  if (['HEAD', 'config', 'objects', 'refs'].every((name) => existsSync(join(folder, name)))) return
  // An incomplete one: git adds what is missing.
  if (existsSync(folder)) {
    await initBare(git, folder, 'sha1')
    return
  }
  const draft = `${folder}.${randomUUID()}`
  try {
    await initBare(git, draft, 'sha1')
    await rename(draft, folder)
  } catch (error) {
    // Another gate was first.
    if (!hasSystemCode(error, 'EEXIST', 'ENOTEMPTY')) throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** The empty repository in a data folder. */
export function emptyRepositoryIn(dataFolder: string): string {
  return join(dataFolder, 'empty.git')
}

function outcomeOf(
  { began, failure, killed, stderr }: GitEnd,
  { phase }: BackendRequest,
  response: ResponseWriter,
): ServeOutcome {
  if (failure === undefined) {
    // An empty list of commands, or of wants, has an empty response.
    if (!began) response.begin()
    return { kind: 'answered' }
  }
  const reason = stderr === '' ? failure : `${failure}: ${stderr}`
  if (!began && faultOf(phase, stderr) === 'request') {
    // Git quotes the client here, and perhaps a secret in the wrong place.
    return { kind: 'failed', reason: `${failure}: ${stderr.split(/['"\n]|line: /, 1)[0] ?? ''}`, fault: 'request' }
  }
  if (!began) return { kind: 'failed', reason, fault: 'backend' }
  // A git that fails has reported it in its response (ERR, band 3); one that was killed stops anywhere.
  return killed ? { kind: 'broken', reason } : { kind: 'answered', failure: reason }
}

/**
 * Tells why git wrote no response. In an RPC git exits without one, with dozens of messages, when the request is malformed.
 * Failures on our side have the system's messages, and mostly show at the advertisement.
 */
function faultOf(phase: BackendRequest['phase'], stderr: string): Fault {
  const isOurs =
    /not (?:appear to be )?a git repository|unable to|permission denied|no space|ownership|corrupt|cannot|could not|failed to/i
  return phase === 'rpc' && stderr !== '' && !isOurs.test(stderr) ? 'request' : 'backend'
}

// Some 200,000 wants and haves. A kilobyte of gzip could make git keep a thousand times as many.
const MAX_DECODED_BYTES = 10 * 1_048_576

/** The request's body, decompressed, since git's standard input takes no compressed one. */
function decodedBody({ body, contentEncoding, signal }: BackendRequest): Readable {
  if (contentEncoding === undefined) return body
  const gunzip = createGunzip()
  // If the client leaves, the decoder must fail, too. Otherwise git would wait for more.
  body.on('error', (error) => gunzip.destroy(error))
  signal.addEventListener('abort', () => gunzip.destroy(), { once: true })
  let length = 0
  gunzip.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > MAX_DECODED_BYTES)
      gunzip.destroy(new Error(`a compressed fetch request of more than ${MAX_DECODED_BYTES} bytes`))
  })
  return body.pipe(gunzip)
}

function requesterEnvironment({ gitProtocol, requester }: BackendRequest): Record<string, string> {
  return {
    ...(gitProtocol === undefined ? {} : { GIT_PROTOCOL: gitProtocol }),
    ...(requester === undefined
      ? {}
      : {
          REMOTE_USER: requester.username,
          GITGATE_USER: requester.username,
          // For the reflog; git http-backend sets them the same way.
          GIT_COMMITTER_NAME: requester.username,
          GIT_COMMITTER_EMAIL: `${requester.username}@gitgate`,
        }),
    ...(requester?.tokenId === undefined ? {} : { GITGATE_TOKEN_ID: String(requester.tokenId) }),
  }
}
