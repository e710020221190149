import { accessSync, constants } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { GitgateError } from '../../core/errors.js'
import type { BackendRequest } from '../../protocol/backend.js'
import type { StartGit } from './git-process.js'
import { readOutput, startDirectly } from './git-process.js'

/** The installed git. */
export type GitProgram = {
  readonly path: string
  readonly version: string
  readonly start: StartGit
}

/** The hash function of a repository. */
export type ObjectFormat = 'sha1' | 'sha256'

// Since 2.38, git accepts `-c safe.directory`, without which it refuses repositories of another owner.
const MIN_VERSION = [2, 38] as const

/**
 * Finds git.
 *
 * @param wanted an absolute path, or `undefined` to look in `PATH`
 * @param umask of git processes. @default this process's
 * @throws GitgateError `git` if there is none, or only one that is too old
 */
export async function findGit(wanted: string | undefined, umask?: number): Promise<GitProgram> {
  const path = wanted ?? searchPath()
  if (path === undefined)
    throw new GitgateError('git', 'Git is not installed; install it (Debian: apt-get install git)')
  if (!isAbsolute(path)) throw new GitgateError('git', `the path of Git must be absolute, but ${path} isn't`)
  const version = /^git version (\d+)\.(\d+)(\S*)/.exec(await readVersion(path))
  if (version === null) throw new GitgateError('git', `${path} is not Git: it doesn't answer "git version" as Git does`)
  const [major, minor] = [Number(version[1]), Number(version[2])]
  const [minMajor, minMinor] = MIN_VERSION
  if (major < minMajor || (major === minMajor && minor < minMinor)) {
    throw new GitgateError(
      'git',
      `${path} is Git ${major}.${minor}, but gitgate needs ${MIN_VERSION.join('.')} or newer`,
    )
  }
  return { path, version: `${major}.${minor}${version[3] ?? ''}`, start: (command) => startDirectly(command, umask) }
}

/**
 * The environment of every git process: an allow-list. No `GIT_*` variable of the gate changes git's behaviour, no secret reaches a
 * hook, and git reads no configuration of the user or the machine.
 */
export function gitEnvironment(): Record<string, string> {
  const inherited = ['PATH', 'TMPDIR', 'TZ'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(inherited),
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    // Otherwise, an account that may push refs/replace/… could show git's own checks another history.
    GIT_NO_REPLACE_OBJECTS: '1',
  }
}

/** Flags with which git works in a bare repository of any owner. */
export function inRepository(folder: string): string[] {
  return ['-c', `safe.directory=${folder}`, `--git-dir=${folder}`]
}

/** The identity in commits and reflogs that gitgate itself writes. */
const GITGATE_IDENTITY = {
  GIT_AUTHOR_NAME: 'gitgate',
  GIT_AUTHOR_EMAIL: 'gitgate@localhost',
  GIT_COMMITTER_NAME: 'gitgate',
  GIT_COMMITTER_EMAIL: 'gitgate@localhost',
}

/**
 * Runs a git command with a short output. @returns the output
 *
 * @param args written by gitgate; a user's string may be among them only where git can't take it for a flag
 * @param input what git reads, if anything
 * @throws GitgateError `git` with git's own message if it fails
 */
export async function askGit(git: GitProgram, args: readonly string[], input?: string): Promise<string> {
  const env = { ...gitEnvironment(), ...GITGATE_IDENTITY }
  const { bytes, failure, stderr } = await readOutput(git.start, { program: git.path, args, env }, input)
  if (failure !== undefined) throw new GitgateError('git', `git failed: ${stderr || failure}`)
  return bytes.toString('utf8')
}

/** Creates an empty bare repository whose HEAD is `main`. An existing one stays as it is. */
export async function initBare(git: GitProgram, folder: string, format: ObjectFormat): Promise<void> {
  await askGit(git, [
    'init',
    '--quiet',
    '--bare',
    '--template=',
    '--initial-branch=main',
    `--object-format=${format}`,
    folder,
  ])
}

function searchPath(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute)
  return folders.map((folder) => join(folder, 'git')).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function readVersion(path: string): Promise<string> {
  try {
    return await askGit({ path, version: '', start: startDirectly }, ['version'])
  } catch (cause) {
    throw new GitgateError('git', `${path} can't be run`, { cause })
  }
}

const MEBIBYTE = 1_048_576

// Whoever may read a repository may read every object in it: protocol v2 serves any object ID, so v0 may as well. A partial clone can
// then fetch its missing blobs.
const UPLOAD_PACK_SETTINGS = [
  'uploadpack.allowFilter=true',
  'uploadpack.allowAnySHA1InWant=true',
  // Filters with unbounded cost are left out: sparse:oid matches each path against patterns from a blob.
  'uploadpackfilter.allow=false',
  'uploadpackfilter.blob:none.allow=true',
  'uploadpackfilter.blob:limit.allow=true',
  'uploadpackfilter.object:type.allow=true',
  'uploadpackfilter.tree.allow=true',
  'uploadpackfilter.tree.maxDepth=16',
  'uploadpackfilter.combine.allow=true',
]

const RECEIVE_PACK_SETTINGS = [
  // Refuses broken and forged objects before anybody can fetch them.
  'receive.fsckObjects=true',
  // Harmless faults in the commits of old histories, which nobody can change any more.
  'receive.fsck.badTimezone=ignore',
  'receive.fsck.missingSpaceBeforeDate=ignore',
  'receive.fsck.zeroPaddedFilemode=ignore',
  'receive.advertisePushOptions=true',
  // Milliseconds to wait for a ref that another push, or packing, has locked. Git's defaults of 100 and 1,000 are too short on a busy
  // machine, and the user would have to repeat the push.
  'core.filesRefLockTimeout=10000',
  'core.packedRefsTimeout=10000',
  'reftable.lockTimeout=10000',
]

/**
 * The command line of one of Git's two services: constant flags, and the repository as an absolute path, which git can't take for a
 * flag.
 *
 * @param repository the absolute path of the bare repository
 * @param maxInputSize the maximum size of a push in MiB, or `null`
 */
export function serviceArguments(
  { service, phase, fastForwardOnly }: Pick<BackendRequest, 'service' | 'phase' | 'fastForwardOnly'>,
  repository: string,
  maxInputSize: number | null,
): string[] {
  const isReading = service === 'git-upload-pack'
  const settings = [
    // Otherwise git refuses repositories of another owner.
    `safe.directory=${repository}`,
    ...(isReading ? UPLOAD_PACK_SETTINGS : RECEIVE_PACK_SETTINGS),
    ...(fastForwardOnly === true ? ['receive.denyNonFastForwards=true'] : []),
    ...(maxInputSize === null ? [] : [`receive.maxInputSize=${maxInputSize * MEBIBYTE}`]),
  ]
  return [
    ...settings.flatMap((setting) => ['-c', setting]),
    isReading ? 'upload-pack' : 'receive-pack',
    // Exactly this folder, not a repository that git may find inside it.
    ...(isReading ? ['--strict'] : []),
    '--stateless-rpc',
    ...(phase === 'advertisement' ? ['--advertise-refs'] : []),
    repository,
  ]
}
