import type { HttpOptions } from '../http-client.js'
import type { World } from '../world.js'

/** An answer of the API, with its body read. */
export type ApiAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Whatever it holds; the tests say what that must be. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape that it asks about
  readonly body: any
}

/** One who calls the API with a token. */
export type Calls = {
  (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<ApiAnswer>
}

/** Calls the API below `/api/v4` with a token in `PRIVATE-TOKEN`; without one, as nobody. */
export function callsWith(world: World, secret?: string): Calls {
  const token: Record<string, string> = secret === undefined ? {} : { 'PRIVATE-TOKEN': secret }
  return (method, path, body, headers = {}) =>
    body === undefined
      ? call(world, path, { method, headers: { ...token, ...headers } })
      : call(world, path, {
          method,
          headers: { 'Content-Type': 'application/json', ...token, ...headers },
          body: JSON.stringify(body),
        })
}

/** Makes any call of the API. */
export async function call(world: World, path: string, options: HttpOptions = {}): Promise<ApiAnswer> {
  const { status, headers, body } = await world.http(`/api/v4${path}`, options)
  const text = Buffer.from(body, 'latin1').toString('utf8')
  return { status, headers, body: isJson(headers['content-type']) ? (JSON.parse(text) as unknown) : text }
}

/** A form, as curl's `--data` sends it. */
export function form(secret: string, fields: string, method = 'POST'): HttpOptions {
  const headers = { 'PRIVATE-TOKEN': secret, 'Content-Type': 'application/x-www-form-urlencoded' }
  return { method, headers, body: fields }
}

function isJson(type: string | string[] | undefined): boolean {
  return String(type).startsWith('application/json')
}
