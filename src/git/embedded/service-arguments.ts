import type { BackendRequest } from '../../protocol/backend.js'

const MEBIBYTE = 1_048_576

// Who may read a repository may read every object in it: protocol v2 serves any object id, so v0 may as well, and a
// partial clone can then fetch the blobs that it lacks.
const READING = [
  'uploadpack.allowFilter=true',
  'uploadpack.allowAnySHA1InWant=true',
  // Filters that cost what the client pleases are left out: sparse:oid reads a blob as patterns for every path.
  'uploadpackfilter.allow=false',
  'uploadpackfilter.blob:none.allow=true',
  'uploadpackfilter.blob:limit.allow=true',
  'uploadpackfilter.object:type.allow=true',
  'uploadpackfilter.tree.allow=true',
  'uploadpackfilter.tree.maxDepth=16',
  'uploadpackfilter.combine.allow=true',
]

const WRITING = [
  // A broken or forged object is refused before it can harm those who fetch it.
  'receive.fsckObjects=true',
  // Faults that harm nobody, and that old histories have in commits which nobody can change any more.
  'receive.fsck.badTimezone=ignore',
  'receive.fsck.missingSpaceBeforeDate=ignore',
  'receive.fsck.zeroPaddedFilemode=ignore',
  'receive.advertisePushOptions=true',
  // Milliseconds to wait for a ref that another push or the packing of refs holds. Git's own 100 and 1,000 are too few on a
  // machine that has much to do, and a push that fails is the user's to repeat.
  'core.filesRefLockTimeout=10000',
  'core.packedRefsTimeout=10000',
  'reftable.lockTimeout=10000',
]

/**
 * The command line of one of Git's two services: constant flags, and the repository as an absolute path, which can't be
 * taken for a flag.
 *
 * @param repository the absolute path of the bare repository
 * @param maxInputSize MiB that a push may bring, or `null` for no limit
 */
export function serviceArguments(
  { service, phase, fastForwardOnly }: Pick<BackendRequest, 'service' | 'phase' | 'fastForwardOnly'>,
  repository: string,
  maxInputSize: number | null,
): string[] {
  const isReading = service === 'git-upload-pack'
  const settings = [
    // Git refuses repositories of another owner unless told that this one is meant.
    `safe.directory=${repository}`,
    ...(isReading ? READING : WRITING),
    ...(fastForwardOnly === true ? ['receive.denyNonFastForwards=true'] : []),
    ...(maxInputSize === null ? [] : [`receive.maxInputSize=${maxInputSize * MEBIBYTE}`]),
  ]
  return [
    ...settings.flatMap((setting) => ['-c', setting]),
    isReading ? 'upload-pack' : 'receive-pack',
    // The repository is exactly this folder, not one that git might find in it.
    ...(isReading ? ['--strict'] : []),
    '--stateless-rpc',
    ...(phase === 'advertisement' ? ['--advertise-refs'] : []),
    repository,
  ]
}
