import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { summarize } from './summary.js'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const FOLDER = join('test', 'recordings')

/**
 * Compares a text with its recording in `test/recordings`. Nothing is written, unless `npm run recordings` asks for the
 * text: it names a folder of its own in `RECORDINGS_INTO`.
 */
export function compareRecording(t: Test, name: string, text: string): void {
  const into = process.env['RECORDINGS_INTO']
  if (into !== undefined) {
    writeFileSync(join(into, name), text)
    return
  }
  const path = join(FOLDER, name)
  const recorded = existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : ''
  if (recorded === text) {
    t.pass(`as recorded in ${path}`)
    return
  }
  t.fail(`differs from ${path}. If you meant this change, run: npm run recordings -- --accept`, { at: null, stack: '' })
  // As a comment, since YAML would break its lines.
  t.comment(summarize(name, recorded, text))
}

/** What differs from run to run, or from machine to machine, by the name that stands for it in a recording. */
const VOLATILE: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bggpat-[0-9A-Za-z]{36}\b/g, '<token>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<request-id>'],
  [/\b[0-9a-f]{64}\b/g, '<hash>'],
  // Zeros stand for no object.
  [/\b(?!0{40}\b)[0-9a-f]{40}\b/g, '<oid>'],
  [/\b127\.0\.0\.1:\d+/g, '127.0.0.1:<port>'],
  [/\bgit\/\d[^\s"]*/g, 'git/<version>'],
  // These are written half a second after a request.
  [/"(last_used_(?:at|ips)|lastUsed(?:At|Ips))":\s*(?:null|"[^"]*"|\[[^\]]*\])/g, '"$1": <last use>'],
  [/"id":\s*\d+,(\s*"hash":)/g, '"id": <row>,$1'],
  [/"rows":\s*\d+/g, '"rows": <rows>'],
  [/"mark":\s*\d+/g, '"mark": <row>'],
  // By which git ends first is a matter of luck.
  [/\bended by SIG[A-Z]+\b|\bexit status 128: fatal: the remote end hung up unexpectedly/g, 'ended by <signal>'],
  [/\bgitgate-\d+\.\d+\.\d+[\w.-]*/g, 'gitgate-<version>'],
]

/** Puts names in place of what is volatile. */
export function mask(text: string): string {
  return VOLATILE.reduce((masked, [pattern, name]) => masked.replace(pattern, name), text)
}
