import type { KeyPart } from './cache-key.js'

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
// Git would accept 0x10 and 010, too; its clients write plain decimals.
const DEPTH = /^[1-9][0-9]{0,9}$/
const MAX_DEPTH = 2 ** 31 - 1
const SECONDS = /^[1-9][0-9]{0,18}$/
// sparse:oid names a blob by a revision, which means another object once a ref has moved. Git removed sparse:path.
const FILTER = /^(?:blob:none|blob:limit=[0-9]{1,18}[kmg]?|tree:[0-9]{1,9}|object:type=(?:blob|tree|commit|tag))$/
const COMBINED_FILTER = 'combine:'

/** The refs that the response to a fetch depends on, beside the wanted objects. */
export type RefDependency = {
  /** Tags that point at sent objects are sent along (`include-tag`). */
  readonly tags: boolean
  /**
   * `deepen-not` names a ref, and `deepen-relative` counts from those of the client's shallow commits that any ref reaches
   * (upload-pack.c, get_reachable_list).
   */
  readonly allRefs: boolean
}

/** The lines of a fetch that all protocol versions have: wants, haves, shallow commits, depth and filter. */
export class FetchArguments {
  readonly #wants = new Set<string>()
  readonly #haves: string[] = []
  readonly #shallow = new Set<string>()
  readonly #others: string[] = []
  #idLength: number | undefined

  /** @param idLength hexadecimal digits of an object ID; `undefined`: as many as the first one has */
  constructor(idLength: number | undefined) {
    this.#idLength = idLength
  }

  /** Sorted, each once: Git's own client names the object of HEAD twice. */
  get wants(): readonly string[] {
    return [...this.#wants].sort()
  }

  get hasHaves(): boolean {
    return this.#haves.length > 0
  }

  get hasDepth(): boolean {
    return this.#others.some((line) => line.startsWith('deepen'))
  }

  /**
   * Whether a client that repeats the fetch sends the same request. With `deepen-since` it doesn't: Git completes a date
   * without a time of day by the current time, so the request differs each second.
   */
  get isStorable(): boolean {
    return !this.#others.some((line) => line.startsWith('deepen-since '))
  }

  /**
   * All lines, as parts of a key. Git treats wants and shallow lines as sets, and acknowledges haves in their order. The
   * other lines keep their order.
   */
  get keyParts(): readonly KeyPart[] {
    return [this.wants, this.#haves, [...this.#shallow].sort(), this.#others]
  }

  /** @param flags arguments or capabilities without a value */
  dependsOn(flags: ReadonlySet<string>): RefDependency {
    const namesRef = this.#others.some((line) => line.startsWith('deepen-not '))
    return { tags: flags.has('include-tag'), allRefs: namesRef || flags.has('deepen-relative') }
  }

  /** Adds a line, if it is known byte by byte. @returns whether it is */
  add(line: string): boolean {
    const space = line.indexOf(' ')
    const [name, value] = [line.slice(0, Math.max(space, 0)), line.slice(space + 1)]
    if (!this.#isKnown(name, value)) return false
    if (name === 'want') this.#wants.add(value)
    else if (name === 'have') this.#haves.push(value)
    else if (name === 'shallow') this.#shallow.add(value)
    else this.#others.push(line)
    return true
  }

  /** Adds an argument without a value, which the caller knows. */
  addFlag(flag: string): void {
    this.#others.push(flag)
  }

  #isKnown(name: string, value: string): boolean {
    switch (name) {
      case 'want':
      case 'have':
      case 'shallow':
        this.#idLength ??= value.length
        return value.length === this.#idLength && OBJECT_ID.test(value)
      case 'deepen':
        return DEPTH.test(value) && Number(value) <= MAX_DEPTH
      case 'deepen-since':
        return SECONDS.test(value)
      case 'deepen-not':
        return value !== ''
      case 'filter':
        return isFilter(value)
      default:
        return false
    }
  }
}

function isFilter(spec: string): boolean {
  if (!spec.startsWith(COMBINED_FILTER)) return FILTER.test(spec)
  return spec
    .slice(COMBINED_FILTER.length)
    .split('+')
    .every((part) => FILTER.test(part))
}
