import type { BigIntStats } from 'node:fs'
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LastChange } from './settling.js'
import { Stamps } from './stamps.js'

/** Which objects a repository has, as the stamps of the folders show in which they lie. */
export type ObjectsReading = { readonly stamp: string; readonly lastChange: LastChange }

// Loose ones by the first byte of their names, and packs: none comes or goes without a trace in its folder.
const HOLDS_OBJECTS = /^(?:[0-9a-f]{2}|pack)$/

/**
 * Reads what tells whether objects have come or gone, in up to 258 looks of some 5 µs.
 *
 * @param folder the absolute path of the bare repository
 * @returns `undefined` where nothing tells: objects lie elsewhere as well (alternates), or can't be read
 */
export function readObjects(folder: string): ObjectsReading | undefined {
  const readAt = Date.now()
  const look = (name: string): BigIntStats | undefined =>
    lstatSync(join(folder, name), { bigint: true, throwIfNoEntry: false })
  try {
    if (look('objects/info/alternates') !== undefined) return undefined
    const stamps = new Stamps()
    // A folder's stamp is taken before its names are read.
    stamps.add('objects', look('objects'))
    for (const name of readdirSync(join(folder, 'objects')).sort())
      if (HOLDS_OBJECTS.test(name)) stamps.add(name, look(`objects/${name}`))
    const { newest, inWholeSeconds } = stamps
    return { stamp: stamps.digest(), lastChange: { newest, inWholeSeconds, readAt } }
  } catch {
    // Git is asked itself, and gives the reason.
    return undefined
  }
}
