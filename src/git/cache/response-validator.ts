import { LENGTH_DIGITS, packetLength } from '../../protocol/pkt-line.js'

/** The kind of a response, which determines where its final flush is. */
export type ResponseShape =
  /** Refs and capabilities, with or without the line that names the service and its flush. */
  | 'advertisement'
  /** The response to ls-refs. */
  | 'refs'
  /** Version 2: sections, the pack last. */
  | 'v2-pack'
  /** Version 2: a round of negotiation, which has a pack only if the server is ready for it. */
  | 'v2-round'
  /** Versions 0 and 1: shallow lines and a flush if the request has a depth, acknowledgements, the pack in side bands. */
  | 'v0-pack'
  /** Versions 0 and 1: the shallow lines alone, which a client requests before it negotiates. */
  | 'v0-depth'

export type Completeness =
  /** Its end hasn't come yet. */
  | 'incomplete'
  /** It ends with its final flush. Whether Git exited with status 0 must be checked, too. */
  | 'complete'
  /** It is sent to the client but not kept: it reports an error, continues after its end, or has an unknown format. */
  | 'uncacheable'

const MAX_HEAD_BYTES = 32
const SPECIAL_PACKETS = ['flush', 'delimiter', 'response-end'] as const

/**
 * Checks whether a response is complete while its bytes pass in pieces of any length. It keeps only the beginning of the
 * current packet. Of a pack it reads only the packets' lengths and bands.
 */
export class ResponseValidator {
  #state: State
  /** The length and the first bytes of the current packet. */
  readonly #head = Buffer.alloc(MAX_HEAD_BYTES)
  #headLength = 0
  #neededLength = LENGTH_DIGITS
  #packetLength = 0
  /** Bytes of the current packet that are still to come. */
  #remaining = 0

  constructor(shape: ResponseShape) {
    this.#state = initialState(shape)
  }

  get completeness(): Completeness {
    if (this.#state === 'uncacheable') return 'uncacheable'
    return this.#state === 'ended' ? 'complete' : 'incomplete'
  }

  /** Takes the next bytes. */
  push(piece: Buffer): void {
    let at = 0
    while (at < piece.length && this.#state !== 'uncacheable') {
      if (this.#state === 'ended') {
        this.#state = 'uncacheable'
      } else if (this.#remaining > 0) {
        const count = Math.min(this.#remaining, piece.length - at)
        this.#remaining -= count
        at += count
      } else {
        const count = piece.copy(this.#head, this.#headLength, at, at + this.#neededLength - this.#headLength)
        this.#headLength += count
        at += count
        if (this.#headLength === this.#neededLength) this.#readHead()
      }
    }
  }

  /** Reads the length of a packet, or the length and the beginning of its data. */
  #readHead(): void {
    if (this.#neededLength === LENGTH_DIGITS) {
      const length = packetLength(this.#head)
      if (length === undefined) {
        this.#state = 'uncacheable'
        return
      }
      this.#packetLength = length
      const dataLength = Math.max(length - LENGTH_DIGITS, 0)
      this.#neededLength = LENGTH_DIGITS + Math.min(dataLength, significantBytes(this.#state))
      if (this.#neededLength > LENGTH_DIGITS) return
    }
    const start = this.#head.toString('latin1', LENGTH_DIGITS, this.#neededLength)
    this.#state = nextState(this.#state, { kind: SPECIAL_PACKETS[this.#packetLength] ?? 'data', start })
    this.#remaining = Math.max(this.#packetLength - this.#neededLength, 0)
    this.#headLength = 0
    this.#neededLength = LENGTH_DIGITS
  }
}

/** The beginning of a packet. */
type PacketHead = {
  readonly kind: 'data' | 'flush' | 'delimiter' | 'response-end'
  /** The first {@link significantBytes} of its data as Latin-1, or all of shorter data. */
  readonly start: string
}

/** How many bytes of a packet's data are needed: in side bands the band, and whether anything follows it. */
function significantBytes(state: State): number {
  return state === 'bands' || state === 'pack' ? 2 : LONGEST_LINE + 1
}

/** The state after a packet. An `ERR` packet, band 3, and anything unexpected make the response uncacheable. */
function nextState(state: State, { kind, start }: PacketHead): State {
  const rule = RULES[state]
  switch (kind) {
    case 'flush':
      return rule.flush ?? 'uncacheable'
    case 'delimiter':
      return rule.delimiter ?? 'uncacheable'
    case 'response-end':
      return 'uncacheable'
    case 'data':
      return (
        rule.equals?.get(start) ?? rule.startsWith?.find(([prefix]) => start.startsWith(prefix))?.[1] ?? 'uncacheable'
      )
  }
}

function initialState(shape: ResponseShape): State {
  switch (shape) {
    case 'advertisement':
    case 'refs':
    case 'v0-depth':
      return shape
    case 'v2-pack':
      return 'section'
    case 'v2-round':
      return 'section-of-round'
    case 'v0-pack':
      return 'v0-start'
  }
}

/** The position in a response. `ended`: after the final flush. `uncacheable`: it can't become a complete response. */
type State =
  | 'advertisement'
  | 'service'
  | 'service-flush'
  | 'advertised'
  | 'refs'
  | 'section'
  | 'section-of-round'
  | 'acknowledgments'
  | 'acknowledgments-of-round'
  | 'ready'
  | 'shallow-info'
  | 'v0-depth'
  | 'v0-start'
  | 'v0-shallow'
  | 'v0-first-acknowledgement'
  | 'v0-acknowledgements'
  | 'bands'
  | 'pack'
  | 'ended'
  | 'uncacheable'

/** The states after each expected packet. */
type Rule = {
  readonly flush?: State
  readonly delimiter?: State
  /** By the whole data. */
  readonly equals?: ReadonlyMap<string, State>
  /** By the beginning of the data; the first matching prefix counts. */
  readonly startsWith?: readonly (readonly [prefix: string, state: State])[]
}

const LONGEST_LINE = 'acknowledgments\n'.length
const PACK_SECTIONS = [
  ['shallow-info\n', 'shallow-info'],
  ['packfile\n', 'bands'],
] as const
// Band 1 without data only keeps the connection alive. Band 3 is a fatal error.
const KEEP_ALIVE = '\x01'
const BANDS = [
  ['\x01', 'pack'],
  ['\x02', 'bands'],
] as const

// Git's documentation: gitprotocol-v2 (ls-refs, fetch), gitprotocol-pack (reference discovery, packfile negotiation,
// packfile data). The sections that `want-ref` and `packfile-uris` add are missing, because such requests have no key.
const RULES: Readonly<Record<State, Rule>> = {
  advertisement: { startsWith: [['# service=', 'service'], ...lines('advertised')] },
  service: { flush: 'service-flush' },
  'service-flush': { startsWith: lines('advertised') },
  advertised: { flush: 'ended', startsWith: lines('advertised') },
  refs: { flush: 'ended', startsWith: lines('refs') },

  section: { equals: new Map([...PACK_SECTIONS, ['acknowledgments\n', 'acknowledgments']]) },
  'section-of-round': { equals: new Map([...PACK_SECTIONS, ['acknowledgments\n', 'acknowledgments-of-round']]) },
  acknowledgments: { delimiter: 'section', ...acknowledgements('acknowledgments', ['ready\n', 'ready']) },
  'acknowledgments-of-round': {
    flush: 'ended',
    delimiter: 'section',
    ...acknowledgements('acknowledgments-of-round', ['ready\n', 'ready']),
  },
  ready: { delimiter: 'section' },
  'shallow-info': { delimiter: 'section', startsWith: shallow('shallow-info') },

  'v0-depth': { flush: 'ended', startsWith: shallow('v0-depth') },
  'v0-start': {
    flush: 'v0-first-acknowledgement',
    equals: new Map([['NAK\n', 'v0-acknowledgements']]),
    startsWith: [['ACK ', 'v0-acknowledgements'], ...shallow('v0-shallow')],
  },
  'v0-shallow': { flush: 'v0-first-acknowledgement', startsWith: shallow('v0-shallow') },
  'v0-first-acknowledgement': acknowledgements('v0-acknowledgements'),
  'v0-acknowledgements': {
    equals: new Map([
      ['NAK\n', 'v0-acknowledgements'],
      [KEEP_ALIVE, 'bands'],
    ]),
    startsWith: [['ACK ', 'v0-acknowledgements'], ...BANDS],
  },

  bands: { equals: new Map([[KEEP_ALIVE, 'bands']]), startsWith: BANDS },
  pack: {
    flush: 'ended',
    startsWith: [
      ['\x01', 'pack'],
      ['\x02', 'pack'],
    ],
  },
  ended: {},
  uncacheable: {},
}

function lines(state: State): NonNullable<Rule['startsWith']> {
  return [
    ['ERR ', 'uncacheable'],
    ['', state],
  ]
}

function shallow(state: State): NonNullable<Rule['startsWith']> {
  return [
    ['shallow ', state],
    ['unshallow ', state],
  ]
}

function acknowledgements(state: State, ...more: readonly (readonly [string, State])[]): Rule {
  return { equals: new Map([['NAK\n', state], ...more]), startsWith: [['ACK ', state]] }
}
