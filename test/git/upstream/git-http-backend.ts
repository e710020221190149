import { spawn } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { httpUpstream } from './stand-in.js'

/**
 * Git's own CGI program behind Node's HTTP server, as nginx or Apache run it.
 *
 * @param root the folder of the repositories
 * @returns the server, and the request lines that it was sent
 */
export async function gitHttpBackend(t: Test, root: string) {
  const seen: string[] = []
  const upstream = await httpUpstream(t, (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    run(root, request, response)
  })
  return { upstream, seen }
}

function run(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '', 'http://server')
  const { headers } = request
  const child = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      REMOTE_USER: String(headers['x-forwarded-user']),
      CONTENT_TYPE: headers['content-type'] ?? '',
      CONTENT_LENGTH: headers['content-length'] ?? '',
      HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => undefined)
  request.pipe(child.stdin)
  let head = Buffer.alloc(0)
  child.stdout.on('data', (piece: Buffer) => {
    if (response.headersSent) return response.write(piece)
    head = Buffer.concat([head, piece])
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    const lines = head.toString('latin1', 0, end).split('\r\n')
    const fields = lines.map((line) => line.split(': ', 2) as [string, string])
    const { Status = '200', ...more } = Object.fromEntries(fields)
    response.writeHead(Number.parseInt(Status, 10), more)
    return response.write(head.subarray(end + 4))
  })
  child.on('close', () => response.end())
}
