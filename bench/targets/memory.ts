import { statfsSync } from 'node:fs'
import { watchMemory } from '../accounting/memory.js'
import type { Plan } from '../plan.js'
import { incompressible } from '../repositories/recipes.js'
import type { Findings } from '../result.js'
import { times } from '../rounds.js'
import type { Stage } from '../stage.js'
import { download, packOf, upload } from './bytes.js'

const MEGABYTE = 1e6

/** Target 5: memory of the gate while many large transfers run at once. */
export async function benchMemory(stage: Stage, plan: Plan): Promise<Findings> {
  const mebibytes = affordable(stage.folder, plan)
  const [gate] = await stage.peers('gitgate')
  if (gate === undefined) return { series: [], verdicts: [] }
  const repository = await stage.repository(incompressible(mebibytes))
  const pack = await packOf(stage, repository)
  const count = plan.memoryTransfers
  const transfers = {
    clones: () => download(stage, gate, repository),
    pushes: (index: number) => upload(stage, gate, `memory/${index}`, pack),
  }
  const verdicts = []
  for (const [name, transfer] of Object.entries(transfers)) {
    const watch = watchMemory(gate.cpu)
    await times(count, count, transfer)
    const { own, children } = watch.stop()
    verdicts.push({
      target: 5,
      claim: `peak RSS of gitgate, ${count} ${name} of ${mebibytes} MiB at once`,
      unit: 'MB' as const,
      bound: { most: 300 },
      values: [own / MEGABYTE],
      note: `Git processes: ${Math.round(children / MEGABYTE)} MB, shared pages counted in each process`,
    })
  }
  return { series: [], verdicts }
}

/** All pushes are on the disk at once: they get a half of what is free, and are smaller where that is not enough. */
function affordable(folder: string, { memoryMebibytes, memoryTransfers }: Plan): number {
  const { bavail, bsize } = statfsSync(folder)
  const free = (bavail * bsize) / 1_048_576
  return Math.min(memoryMebibytes, Math.floor(free / 2 / (memoryTransfers + 3)))
}
