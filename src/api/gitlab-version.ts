/** The GitLab whose behaviour the API has; clients look at it to know what they may call. */
const GITLAB_VERSION = '17.9.0'

/** What the API says of its version. @param version gitgate's own */
export function versionEntity(version: string) {
  return { version: GITLAB_VERSION, revision: `gitgate-${version}` }
}
