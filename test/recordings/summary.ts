/** A part of a recording that is compared as one: a response, a log line, the help of a command. */
type Entry = { readonly title: string; readonly text: string }

/** An entry that differs: `old` or `now` is missing where the other was added or removed. */
type Difference = { readonly title: string; readonly old?: string; readonly now?: string }

const SHOWN_ENTRIES = 2
const SHOWN_CHANGES = 3
const MAX_WIDTH = 150
// Kept on each side of what differs in a long line.
const CONTEXT_WIDTH = 30
// Fields of log lines and audit events that tell one from another.
const LABELS = ['action', 'target', 'method', 'url', 'status', 'service', 'phase', 'msg']

/** Says in a few lines how a recording differs: how many entries, and what changed in the first two. */
export function summarize(name: string, old: string, now: string): string {
  const [before, after] = [entriesOf(old), entriesOf(now)]
  const differences = differencesOf(before, after)
  const count = (is: (difference: Difference) => boolean) => differences.filter(is).length
  const counts = [
    [count((one) => one.old !== undefined && one.now !== undefined), 'changed'],
    [count((one) => one.old === undefined), 'added'],
    [count((one) => one.now === undefined), 'removed'],
  ] as const
  const total = Math.max(before.length, after.length)
  const said = counts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`)
  const first = changesOf(differences[0] ?? { title: '' }).join('\n')
  const isSame = (one: Difference) => changesOf(one).join('\n') === first
  const shown = differences.slice(0, SHOWN_ENTRIES).flatMap((one, index) => {
    const changes = index > 0 && isSame(one) ? ['the same change'] : changesOf(one)
    return [`  ${clip(titleOf(one))}`, ...changes.map((change) => `    ${change}`)]
  })
  const rest = differences.length - SHOWN_ENTRIES
  return [
    `${name}: ${said.length === 0 ? 'only headings or the order changed' : said.join(', ')} (of ${total} entries)`,
    ...shown,
    ...(rest > 0
      ? [`  and ${rest} more; ${count(isSame)} of all ${differences.length} have the change of the first`]
      : []),
    `  all: npm run recordings -- --all ${name}`,
  ].join('\n')
}

/** Divides a recording. Headings are not entries, but a part of the titles of those below. */
function entriesOf(text: string): Entry[] {
  if (text.startsWith('{\n')) return openApiEntries(text)
  const entries: Entry[] = []
  const headings: string[] = []
  let request = ''
  let lines: string[] = []
  const end = (): void => {
    const title = [...headings, request].filter((part) => part !== '').join(' › ')
    if (lines.some((line) => line !== '')) entries.push({ title, text: lines.join('\n').trim() })
    lines = []
  }
  for (const line of text.split('\n')) {
    const [, marks, heading] = /^(#+) (.*)$/.exec(line) ?? []
    if (marks !== undefined && heading !== undefined) {
      end()
      headings.splice(marks.length - 1, Infinity, heading)
      request = ''
    } else if (/^[A-Z]+ \//.test(line)) {
      end()
      request = line
      lines = [line]
    } else if (line.startsWith('{"')) {
      end()
      lines = [line]
      end()
    } else lines.push(line)
  }
  end()
  return entries
}

/** Each operation of an OpenAPI document, and the rest of it. */
function openApiEntries(text: string): Entry[] {
  const { paths, ...rest } = JSON.parse(text) as { paths: Record<string, Record<string, unknown>> }
  const entry = (title: string, value: unknown) => ({ title, text: JSON.stringify(value) })
  return [
    entry('document', rest),
    ...Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, value]) => entry(`${method.toUpperCase()} ${path}`, value)),
    ),
  ]
}

/** Pairs entries of the same title. Those that are equal drop out; what is left over was added or removed. */
function differencesOf(before: readonly Entry[], after: readonly Entry[]): Difference[] {
  const [old, now] = [byTitle(before), byTitle(after)]
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((title) => {
    const removed = without(old.get(title) ?? [], now.get(title) ?? [])
    const added = without(now.get(title) ?? [], old.get(title) ?? [])
    return Array.from({ length: Math.max(removed.length, added.length) }, (_, index) => ({
      title,
      ...(removed[index] === undefined ? {} : { old: removed[index] }),
      ...(added[index] === undefined ? {} : { now: added[index] }),
    }))
  })
}

function byTitle(entries: readonly Entry[]): Map<string, string[]> {
  const grouped = new Map<string, string[]>()
  for (const { title, text } of entries) grouped.set(title, [...(grouped.get(title) ?? []), text])
  return grouped
}

/** What is in one list and, as often, not in another. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const other of others) left.set(other, (left.get(other) ?? 0) + 1)
  return lines.filter((line) => {
    const count = left.get(line) ?? 0
    left.set(line, count - 1)
    return count <= 0
  })
}

/** The title of an entry. Of a line of the logs, also what it is about, since many have the same headings. */
function titleOf({ title, old, now }: Difference): string {
  const fields = fieldsOf(now) ?? fieldsOf(old)
  const label = LABELS.map((name) => fields?.get(name))
    .filter((value) => value !== undefined && value !== 'null')
    .map((value) => value?.replaceAll('"', ''))
  return [title, ...(label.length === 0 ? [] : [label.join(' ')])].join(' › ')
}

/** What changed in an entry, a line for each change. */
function changesOf({ old, now }: Difference): string[] {
  const [before, after] = [fieldsOf(old), fieldsOf(now)]
  const changes = before && after ? fieldChanges(before, after) : lineChanges(old, now)
  const rest = changes.length - SHOWN_CHANGES
  return rest > 0 ? [...changes.slice(0, SHOWN_CHANGES), `and ${rest} more changes`] : changes
}

function fieldChanges(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])]
  return names
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `${name}: ${clip(before.get(name) ?? '(none)')} → ${clip(after.get(name) ?? '(none)')}`)
}

function lineChanges(old = '', now = ''): string[] {
  const removed = without(old.split('\n'), now.split('\n'))
  const added = without(now.split('\n'), old.split('\n'))
  const changes = Array.from({ length: Math.max(removed.length, added.length) }, (_, index) =>
    narrow(removed[index], added[index]),
  ).flat()
  return changes.filter((line) => line.length > 2)
}

/** A removed line and the one in its place, cut around what differs where they are long. */
function narrow(removed: string | undefined, added: string | undefined): string[] {
  const [old, now] = [removed?.trim(), added?.trim()]
  if (old === undefined || now === undefined) return [old === undefined ? `+ ${clip(now ?? '')}` : `- ${clip(old)}`]
  const start = Math.max(0, sharedLength(old, now) - CONTEXT_WIDTH)
  const isLong = Math.max(old.length, now.length) > MAX_WIDTH
  const part = (line: string) => (isLong && start > 0 ? clip(`…${line.slice(start)}`) : clip(line))
  return [`- ${part(old)}`, `+ ${part(now)}`]
}

function sharedLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length += 1
  return length
}

/** The fields of a JSON line, nested ones by their path. @returns `undefined` for anything else */
function fieldsOf(text: string | undefined): Map<string, string> | undefined {
  if (text === undefined || !text.startsWith('{"')) return undefined
  const fields = new Map<string, string>()
  const walk = (path: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) fields.set(path, JSON.stringify(value))
    else for (const [name, inner] of Object.entries(value)) walk(path === '' ? name : `${path}.${name}`, inner)
  }
  try {
    // Names that stand for volatile values have no quotes where those were numbers.
    walk('', JSON.parse(text.replace(/:\s*(<[^<>"]+>)/g, ':"$1"')))
    return fields
  } catch {
    return undefined
  }
}

function clip(text: string): string {
  return text.length > MAX_WIDTH ? `${text.slice(0, MAX_WIDTH)}…` : text
}
