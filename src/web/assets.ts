import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Pages } from './pages.js'

/** The path of all style sheets, scripts and images. */
export const ASSETS = '/-/assets/'

/** The folder of the templates or assets: with the sources, both in a checkout and in the package. */
export function webFolder(name: 'views' | 'assets'): string {
  return fileURLToPath(new URL(`../../../src/web/${name}`, import.meta.url))
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
/** All style sheets in one. */
const STYLES = 'gitgate.css'
const YEAR_SECONDS = 31_536_000

/** Style sheets, scripts and images, held in memory. */
export class Assets {
  readonly #paths = new Map<string, string>()
  readonly #bytes = new Map<string, { readonly type: string; readonly bytes: Buffer }>()

  constructor() {
    const folder = webFolder('assets')
    const names = readdirSync(folder).sort()
    const read = (name: string): Buffer => readFileSync(`${folder}/${name}`)
    for (const name of names) if (!name.endsWith('.css')) this.#add(name, read(name))
    // In the order of their numbers: later rules override earlier ones.
    this.#add(STYLES, Buffer.concat(names.filter((name) => name.endsWith('.css')).map(read)))
  }

  #add(name: string, bytes: Buffer): void {
    const type = TYPES[extname(name)]
    if (type === undefined) throw new TypeError(`the type of ${name} is unknown`)
    // The path contains a digest of the content, so browsers can keep it forever.
    const path = `${ASSETS}${hash('sha256', bytes, 'hex').slice(0, 16)}/${name}`
    this.#paths.set(name, path)
    this.#bytes.set(path, { type, bytes })
  }

  /** @returns the path of an asset. @throws TypeError if there is none of that name */
  path(name: string): string {
    const path = this.#paths.get(name)
    if (path === undefined) throw new TypeError(`there is no asset ${name}`)
    return path
  }

  /** Adds the route that serves them. */
  serve(pages: Pages): void {
    pages.get(`${ASSETS}:hash/:name`, { config: { audience: 'anyone' } }, (request, reply) => {
      const found = this.#bytes.get(request.url.split('?', 1)[0] ?? '')
      if (found === undefined) {
        reply.callNotFound()
        return reply
      }
      return reply
        .header('Cache-Control', `public, max-age=${YEAR_SECONDS}, immutable`)
        .type(found.type)
        .send(found.bytes)
    })
  }
}
