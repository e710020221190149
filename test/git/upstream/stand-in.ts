import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import type { Test } from 'tap'
import type { BackendKind } from '../../backends/backend.js'

const COMMAND = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/main\0 report-status`

/** What a push begins with: one command, and its flush. */
export const COMMANDS = `${(COMMAND.length + 4).toString(16).padStart(4, '0')}${COMMAND}0000`

/** A server that answers HTTP as a test tells it, where a Git server would be. It ends with the test. */
export async function httpUpstream(
  t: Test,
  listener: RequestListener,
): Promise<BackendKind & { readonly url: string }> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return kindAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

/** A server that answers bytes as a test tells it, once a whole request head has arrived. */
export async function tcpUpstream(
  t: Test,
  answer: (socket: Socket, head: string) => void,
): Promise<BackendKind & { readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    let head = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      if (head.includes('\r\n\r\n')) return
      head += chunk.toString('latin1')
      if (head.includes('\r\n\r\n')) answer(socket, head)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return kindAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

/** A backend whose server is there already. */
export function kindAt(url: string): BackendKind & { readonly url: string } {
  const createRepository = (): Promise<string> => Promise.reject(new Error('this server keeps no repositories'))
  return { name: url, programs: [], cannot: {}, url, start: () => Promise.resolve({ url, createRepository }) }
}

/** All of a request's body. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}
