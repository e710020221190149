import { readFileSync } from 'node:fs'

/** gitgate's version, from its package.json. */
export function readVersion(): string {
  const manifest = new URL('../../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
