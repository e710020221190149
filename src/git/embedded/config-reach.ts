import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasSystemCode } from '../../core/errors.js'

/**
 * Whether what a repository answers depends on files beside its own: a configuration that includes another, refs that
 * are kept elsewhere. Rather too often than once too seldom: a comment that looks like an include counts.
 *
 * @param folder the bare repository
 * @param names of its configuration files, those that are there
 */
export function reachesOutside(folder: string, names: readonly string[]): boolean {
  return names.some((name) => {
    const text = readText(join(folder, name))
    // A section may begin anywhere on a line, in any case: `[core] [IncludeIf "…"] path = …`.
    if (/\[\s*include/i.test(text)) return true
    // Newer gits take `extensions.refStorage = reftable://elsewhere`; the last one counts.
    const mentions = text.match(/refstorage/gi) ?? []
    const plain = text.match(/refstorage[ \t]*=[ \t]*"?(files|reftable)"?[ \t]*\r?$/gim) ?? []
    return mentions.length > plain.length
  })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return ''
    throw error
  }
}
