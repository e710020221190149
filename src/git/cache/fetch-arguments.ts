import type { KeyPart } from './key.js'

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
// Git would read 0x10 and 010 as well; its clients write plain decimals.
const DEPTH = /^[1-9][0-9]{0,9}$/
const SECONDS = /^[1-9][0-9]{0,18}$/
const DEEPEST = 2 ** 31 - 1
// sparse:oid takes the name of a blob, which stands for another object once a ref has moved; sparse:path is no more.
const FILTER = /^(?:blob:none|blob:limit=[0-9]{1,18}[kmg]?|tree:[0-9]{1,9}|object:type=(?:blob|tree|commit|tag))$/
const COMBINED = 'combine:'

/** What an answer to a fetch is computed from beside the objects that are wanted. */
export type Dependence = {
  /** The tags: those that point at what is sent come along (`include-tag`). */
  readonly tags: boolean
  /**
   * All refs: `deepen-not` names one, and `deepen-relative` counts from the client's shallow commits that any ref reaches
   * (upload-pack.c, get_reachable_list).
   */
  readonly allRefs: boolean
}

/** The lines that a fetch has in all versions: what is wanted, what is there already, how deep, and what is left out. */
export class FetchArguments {
  readonly #wants = new Set<string>()
  readonly #haves: string[] = []
  readonly #shallow = new Set<string>()
  readonly #others: string[] = []
  #idLength: number | undefined

  /** @param idLength hexadecimal digits of an object id; `undefined`: as many as the first one has */
  constructor(idLength: number | undefined) {
    this.#idLength = idLength
  }

  /** The objects that are wanted, sorted, each once: git's own client names HEAD's twice. */
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
   * Whether the same fetch is the same request later. Git completes a date without a time of day by the time at which it was started, so
   * `deepen-since` differs each second.
   */
  get isStorable(): boolean {
    return !this.#others.some((line) => line.startsWith('deepen-since '))
  }

  /**
   * All of it, as parts of a key. Git takes wants and shallow lines as sets; the answer tells haves in their order, and of
   * what remains the order is kept as it is.
   */
  get keyParts(): readonly KeyPart[] {
    return [this.wants, this.#haves, [...this.#shallow].sort(), this.#others]
  }

  /** @param flags arguments, or capabilities, without a value */
  dependsOn(flags: ReadonlySet<string>): Dependence {
    const namesRefs = this.#others.some((line) => line.startsWith('deepen-not '))
    return { tags: flags.has('include-tag'), allRefs: namesRefs || flags.has('deepen-relative') }
  }

  /** Takes a line. @returns whether it is one of these, byte by byte */
  take(line: string): boolean {
    const mark = line.indexOf(' ')
    const [name, value] = [line.slice(0, Math.max(mark, 0)), line.slice(mark + 1)]
    if (!this.#isKnown(name, value)) return false
    if (name === 'want') this.#wants.add(value)
    else if (name === 'have') this.#haves.push(value)
    else if (name === 'shallow') this.#shallow.add(value)
    else this.#others.push(line)
    return true
  }

  /** Keeps an argument without a value, which is known to the version at hand. */
  keep(flag: string): void {
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
        return DEPTH.test(value) && Number(value) <= DEEPEST
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
  if (!spec.startsWith(COMBINED)) return FILTER.test(spec)
  return spec
    .slice(COMBINED.length)
    .split('+')
    .every((part) => FILTER.test(part))
}
