import type { HttpAnswer } from '../acceptance/http-client.js'
import { http } from '../acceptance/http-client.js'

/** A browser without a window: keeps cookies, fills in forms, follows nothing. */
export class FormClient {
  readonly cookies = new Map<string, string>()
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Asks for a page. */
  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return this.#keep(await http(this.#url, path, { headers: { ...this.#headers(), ...headers } }))
  }

  /** Asks for the headers of a page. */
  async head(path: string): Promise<HttpAnswer> {
    return await http(this.#url, path, { method: 'HEAD', headers: this.#headers() })
  }

  /** Sends a form as it is given. */
  async send(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer> {
    const answer = await http(this.#url, path, {
      method: 'POST',
      headers: { ...this.#headers(), 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(fields).toString(),
    })
    return this.#keep(answer)
  }

  /** Sends a form with the token of a page. @param from the page that it stands on; by default where it is sent to */
  async submit(path: string, fields: Readonly<Record<string, string>>, from = path): Promise<HttpAnswer> {
    return await this.send(path, { csrf_token: await this.csrfToken(from), ...fields })
  }

  /** The token of a page's forms. */
  async csrfToken(path: string): Promise<string> {
    return csrfTokenIn(await this.get(path))
  }

  async signIn(login: string, password: string, more: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return await this.submit('/users/sign_in', { login, password, ...more })
  }

  #headers(): Record<string, string> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return { Accept: 'text/html', ...(cookie === '' ? {} : { Cookie: cookie }) }
  }

  #keep(answer: HttpAnswer): HttpAnswer {
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '' || /Max-Age=0|Expires=Thu, 01 Jan 1970/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return answer
  }
}

/** The token of the forms on a page. */
export function csrfTokenIn({ body }: HttpAnswer): string {
  return /name="csrf_token" value="([^"]+)"/.exec(body)?.[1] ?? ''
}
