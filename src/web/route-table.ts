import type { FastifyInstance } from 'fastify'

/** Which addresses there are, for those who come to one by hand that only forms are sent to. */
export class RouteTable {
  readonly #patterns = new Map<string, RegExp[]>()

  /** Notes the routes that are added to an application from now on. */
  constructor(app: FastifyInstance) {
    app.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) {
        const known = this.#patterns.get(one) ?? []
        known.push(patternOf(url))
        this.#patterns.set(one, known)
      }
    })
  }

  has(method: string, path: string): boolean {
    return this.#patterns.get(method)?.some((pattern) => pattern.test(path)) === true
  }

  /** The nearest page above an address. */
  pageAbove(path: string): string {
    const above = path.slice(0, path.lastIndexOf('/'))
    return above === '' || this.has('GET', above) ? above || '/' : this.pageAbove(above)
  }
}

/** A parameter stands for a part of the path. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[^\w-]/g, '\\$&')))
  return new RegExp(`^${parts.join('/')}$`)
}
