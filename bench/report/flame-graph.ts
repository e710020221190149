/** A profile as V8 writes it (`node --cpu-prof`). */
export type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

type Frame = { readonly name: string; readonly kind: Kind; time: number; readonly children: Map<string, Frame> }
type Kind = 'gitgate' | 'package' | 'node'

const [WIDTH, ROW, TOP] = [1_200, 17, 44]
// Narrower ones could not be seen.
const NARROWEST = 0.8
const CHARACTER = 6.4
const COLOURS: Readonly<Record<Kind, string>> = { gitgate: '#7fb2e5', package: '#e5c07b', node: '#d0d4da' }
// What the program waits for is no work of it.
const NO_WORK = new Set(['(idle)', '(program)', '(root)'])

/**
 * Draws where a program spends its time: a row for each depth of calls from top to bottom, as wide as its share.
 *
 * @param title what was measured
 * @param isWork whether samples within a function of this name and file count; others, such as those of the start, are left out
 */
export function flameGraph(profile: CpuProfile, title: string, isWork: (path: readonly string[]) => boolean): string {
  const root = addUp(profile, isWork)
  const rows: string[] = []
  let depth = 0
  const draw = (frame: Frame, level: number, from: number): void => {
    const width = (frame.time / root.time) * WIDTH
    if (width < NARROWEST) return
    depth = Math.max(depth, level)
    rows.push(box(frame, from, TOP + level * ROW, width, (frame.time / root.time) * 100))
    let at = from
    for (const child of [...frame.children.values()].sort((a, b) => b.time - a.time)) {
      draw(child, level + 1, at)
      at += (child.time / root.time) * WIDTH
    }
  }
  draw(root, 0, 0)
  const height = TOP + (depth + 2) * ROW
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="ui-monospace, monospace" font-size="11">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="8" y="18" font-size="13">${escape(title)}</text>`,
    ...(Object.keys(COLOURS) as Kind[]).flatMap((kind, index) => [
      `<rect x="${8 + index * 120}" y="26" width="11" height="11" fill="${COLOURS[kind]}"/>`,
      `<text x="${24 + index * 120}" y="36">${{ gitgate: 'gitgate', package: 'packages', node: 'Node.js' }[kind]}</text>`,
    ]),
    ...rows,
    '</svg>\n',
  ].join('\n')
}

function addUp({ nodes, samples, timeDeltas }: CpuProfile, isWork: (path: readonly string[]) => boolean): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children }) => (children ?? []).map((child) => [child, id] as const)))
  const times = new Map<number, number>()
  samples.forEach((id, index) => times.set(id, (times.get(id) ?? 0) + (timeDeltas[index] ?? 0)))
  const root: Frame = { name: 'all', kind: 'node', time: 0, children: new Map() }
  for (const [id, time] of times) {
    const path: { name: string; kind: Kind }[] = []
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const node = byId.get(at)
      if (node !== undefined && node.callFrame.functionName !== '(root)') path.unshift(frameOf(node.callFrame))
    }
    const names = path.map(({ name }) => name)
    if (names.some((name) => NO_WORK.has(name)) || !isWork(names)) continue
    root.time += time
    let frame = root
    for (const { name, kind } of path) {
      const next: Frame = frame.children.get(name) ?? { name, kind, time: 0, children: new Map() }
      frame.children.set(name, next)
      next.time += time
      frame = next
    }
  }
  return root
}

function frameOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): { name: string; kind: Kind } {
  const name = functionName === '' ? '(anonymous)' : functionName
  const [, ours] = /\/build\/src\/(.+)\.js$/.exec(url) ?? []
  if (ours !== undefined) return { name: `${name} ${ours}`, kind: 'gitgate' }
  const [, named] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  return named === undefined ? { name, kind: 'node' } : { name: `${name} ${named}`, kind: 'package' }
}

function box({ name, kind }: Frame, x: number, y: number, width: number, share: number): string {
  const fits = Math.floor((width - 6) / CHARACTER)
  const label = fits < 3 ? '' : name.length > fits ? `${name.slice(0, fits - 1)}…` : name
  return [
    `<g><title>${escape(name)}: ${share.toFixed(1)} %</title>`,
    `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${COLOURS[kind]}"/>`,
    label === '' ? '' : `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escape(label)}</text>`,
    '</g>',
  ].join('')
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
