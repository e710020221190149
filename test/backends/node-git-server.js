// node-git-server on loopback, for a gate to stand before:  npm run backend:node-git-server -- DIR [PORT]
// It is no server to run without a gate: it lets anybody push, and has other faults (docs/backends.md).
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const { Git } = createRequire(import.meta.url)('node-git-server')

const [folder, port = '9000'] = process.argv.slice(2)
if (folder === undefined || !/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
  console.error('usage: npm run backend:node-git-server -- DIR [PORT]')
  process.exit(2)
}
const repositories = new Git(resolve(folder), { autoCreate: false })
repositories.on('push', (push) => push.accept())
repositories.on('fetch', (fetch) => fetch.accept())
repositories.on('tag', (tag) => tag.accept())
repositories.on('error', (error) => console.error(error.message))
// Its own `listen` would take every address of the machine.
createServer((request, response) => repositories.handle(request, response)).listen(Number(port), '127.0.0.1', () => {
  console.log(`node-git-server listens on http://127.0.0.1:${port}`)
})
