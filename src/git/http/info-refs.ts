import type { AuthorizedRequest } from './authorized-request.js'

/** Serves the advertisement. */
export async function serveInfoRefs(authorized: AuthorizedRequest): Promise<void> {
  const { request, creates, dependencies } = authorized
  const { advertise, creation } = dependencies.backend
  await authorized.serve(creates && creation !== undefined ? creation.advertiseUnborn : advertise, request)
}
