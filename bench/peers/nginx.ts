import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Owner } from '../../test/backends/backend.js'
import { freePort } from '../../test/backends/backend.js'
import { httpBackend, startFcgiwrap, startNginx } from '../../test/backends/nginx.js'

// docs/deploy/behind/nginx.conf asks for enough; eight clones run at once here.
const WORKERS = 16

/** Where nginx + git http-backend listens: with Basic authentication, and as an upstream that trusts its clients. */
export type NginxUrls = { readonly authenticating: string; readonly trusting: string }

/** What nginx checks Basic authentication against. */
export type Credentials = { readonly username: string; readonly password: string }

/** Starts nginx + fcgiwrap + git http-backend as shipped, and once more with Basic authentication. */
export async function startGitHttpBackend(
  owner: Owner,
  folder: string,
  root: string,
  credentials: Credentials,
): Promise<NginxUrls> {
  const socket = await startFcgiwrap(owner, folder, WORKERS)
  const [trusting, authenticating] = [await freePort(), await freePort()]
  const authenticates = httpBackend(authenticating, socket, root)
    .replace('location / {', `location / {\n${authentication(folder, credentials)}`)
    .replace('$http_x_forwarded_user', '$remote_user')
  await startNginx(owner, join(folder, 'nginx'), `${httpBackend(trusting, socket, root)}\n${authenticates}`, trusting)
  return { trusting: `http://127.0.0.1:${trusting}`, authenticating: `http://127.0.0.1:${authenticating}` }
}

/** Starts nginx as a proxy that authenticates, and passes bodies on as they come, as a gate does. @returns its URL */
export async function startProxyPass(
  owner: Owner,
  folder: string,
  upstream: string,
  credentials: Credentials,
): Promise<string> {
  const port = await freePort()
  const server = `server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    location / {
      ${authentication(folder, credentials)}
      proxy_pass ${upstream};
      proxy_http_version 1.1;
      proxy_set_header X-Forwarded-User $remote_user;
      proxy_request_buffering off;
      proxy_buffering off;
    }
  }\n`
  await startNginx(owner, join(folder, 'proxy-pass'), server, port)
  return `http://127.0.0.1:${port}`
}

/** The cheapest that nginx has: no hashing. */
function authentication(folder: string, { username, password }: Credentials): string {
  const file = join(folder, 'passwords')
  writeFileSync(file, `${username}:{PLAIN}${password}\n`)
  return `auth_basic git;\nauth_basic_user_file ${file};`
}
