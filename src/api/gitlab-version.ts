/** The version of GitLab whose API this is; clients use it to know what they can call. */
const GITLAB_VERSION = '17.9.0'

/** The version that the API reports. @param version gitgate's own */
export function versionEntity(version: string) {
  return { version: GITLAB_VERSION, revision: `gitgate-${version}` }
}
