import { request } from 'node:http'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** An answer, whole. */
export type HttpAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** A request to make. */
export type HttpOptions = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
  /** Basic credentials. */
  readonly user?: string
  readonly password?: string
  /** The connection to use. @default a new one */
  readonly socket?: Socket
}

/** Makes one request, with the path exactly as it is given. */
export async function http(url: string, path: string, options: HttpOptions = {}): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url)
  const authorization =
    options.password === undefined ? {} : { Authorization: basic(options.user ?? '', options.password) }
  return await new Promise((resolve, reject) => {
    const call = request(
      {
        hostname,
        port,
        path,
        method: options.method ?? 'GET',
        headers: { ...authorization, ...options.headers },
        agent: false,
        ...(options.socket === undefined ? {} : { createConnection: () => options.socket }),
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks).toString('latin1'),
          })
        })
      },
    )
    call.on('error', reject)
    call.end(options.body)
  })
}

/** Sends bytes as they are and returns all that comes back until the other side ends. */
export async function raw(url: string, bytes: Buffer | string): Promise<string> {
  const { hostname, port } = new URL(url)
  return await new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(answer))
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)))
  })
}

/** Sends bytes as they are, and leaves when something comes back. @returns what came first; '' when the other side just ended */
export async function answerTo(url: string, bytes: Buffer | string): Promise<string> {
  const { hostname, port } = new URL(url)
  return await new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    socket.once('data', (chunk: Buffer) => {
      socket.destroy()
      resolve(chunk.toString('latin1'))
    })
    socket.on('close', () => resolve(''))
    socket.on('error', reject)
  })
}

/** The Basic scheme's header. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
