import type { BackendRequest } from '../../protocol/backend.js'

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
