/** The grammar of a complete response, which tells where its final flush is. */
export type AnswerShape =
  /** Refs and capabilities, with or without the line that names the service and its flush. */
  | 'advertisement'
  /** The list that ls-refs gives. */
  | 'refs'
  /** Version 2: sections, of which the pack is the last. */
  | 'v2-pack'
  /** Version 2: a round of negotiation, which brings the pack only if the server is ready for it. */
  | 'v2-round'
  /** Versions 0 and 1: shallow lines and their flush if it has a depth, acknowledgements, the pack in bands. */
  | 'v0-pack'
  /** Versions 0 and 1: the shallow lines of a depth alone, which a client asks for before it negotiates. */
  | 'v0-depth'

/** The position in a response. `ended`: after the final flush. `uncacheable`: it is not a complete response and won't become one. */
export type AnswerState =
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

/** A packet, told by its beginning. */
export type PacketHead = {
  readonly kind: 'data' | 'flush' | 'delimiter' | 'response-end'
  /** The first bytes of its data, as Latin-1: as many as {@link headBytes} says, or all of shorter data. */
  readonly start: string
}

/** The states that packets lead to; any other packet leads to `uncacheable`. */
type Rule = {
  readonly flush?: AnswerState
  readonly delimiter?: AnswerState
  /** By all of the data. */
  readonly exactly?: ReadonlyMap<string, AnswerState>
  /** By how the data begins, the first that fits. */
  readonly beginning?: readonly (readonly [beginning: string, state: AnswerState])[]
}

const LONGEST_LINE = 'acknowledgments\n'.length
const PACK_SECTIONS = [
  ['shallow-info\n', 'shallow-info'],
  ['packfile\n', 'bands'],
] as const
// A packet of band 1 without data keeps the connection alive; band 3 is a fatal end.
const KEPT_ALIVE = '\x01'
const BANDS = [
  ['\x01', 'pack'],
  ['\x02', 'bands'],
] as const

// Git's documentation: gitprotocol-v2 (ls-refs, fetch), gitprotocol-pack (reference discovery, packfile negotiation,
// packfile data). Sections that only `want-ref` and `packfile-uris` bring are not in it: such requests have no key.
const RULES: Readonly<Record<AnswerState, Rule>> = {
  advertisement: { beginning: [['# service=', 'service'], ...lines('advertised')] },
  service: { flush: 'service-flush' },
  'service-flush': { beginning: lines('advertised') },
  advertised: { flush: 'ended', beginning: lines('advertised') },
  refs: { flush: 'ended', beginning: lines('refs') },

  section: { exactly: new Map([...PACK_SECTIONS, ['acknowledgments\n', 'acknowledgments']]) },
  'section-of-round': { exactly: new Map([...PACK_SECTIONS, ['acknowledgments\n', 'acknowledgments-of-round']]) },
  acknowledgments: { delimiter: 'section', ...acknowledgements('acknowledgments', ['ready\n', 'ready']) },
  'acknowledgments-of-round': {
    flush: 'ended',
    delimiter: 'section',
    ...acknowledgements('acknowledgments-of-round', ['ready\n', 'ready']),
  },
  ready: { delimiter: 'section' },
  'shallow-info': { delimiter: 'section', beginning: shallow('shallow-info') },

  'v0-depth': { flush: 'ended', beginning: shallow('v0-depth') },
  'v0-start': {
    flush: 'v0-first-acknowledgement',
    exactly: new Map([['NAK\n', 'v0-acknowledgements']]),
    beginning: [['ACK ', 'v0-acknowledgements'], ...shallow('v0-shallow')],
  },
  'v0-shallow': { flush: 'v0-first-acknowledgement', beginning: shallow('v0-shallow') },
  'v0-first-acknowledgement': acknowledgements('v0-acknowledgements'),
  'v0-acknowledgements': {
    exactly: new Map([
      ['NAK\n', 'v0-acknowledgements'],
      [KEPT_ALIVE, 'bands'],
    ]),
    beginning: [['ACK ', 'v0-acknowledgements'], ...BANDS],
  },

  bands: { exactly: new Map([[KEPT_ALIVE, 'bands']]), beginning: BANDS },
  pack: {
    flush: 'ended',
    beginning: [
      ['\x01', 'pack'],
      ['\x02', 'pack'],
    ],
  },
  ended: {},
  uncacheable: {},
}

/** The state before the first packet. */
export function firstState(shape: AnswerShape): AnswerState {
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

/** How many bytes of a packet's data tell what it is: in the bands of a pack the band, and whether it is all. */
export function headBytes(state: AnswerState): number {
  return state === 'bands' || state === 'pack' ? 2 : LONGEST_LINE + 1
}

/** The state after a packet. `ERR` packets, band 3 and whatever the state does not expect make the response uncacheable. */
export function nextState(state: AnswerState, { kind, start }: PacketHead): AnswerState {
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
        rule.exactly?.get(start) ?? rule.beginning?.find(([known]) => start.startsWith(known))?.[1] ?? 'uncacheable'
      )
  }
}

function lines(state: AnswerState): NonNullable<Rule['beginning']> {
  return [
    ['ERR ', 'uncacheable'],
    ['', state],
  ]
}

function shallow(state: AnswerState): NonNullable<Rule['beginning']> {
  return [
    ['shallow ', state],
    ['unshallow ', state],
  ]
}

function acknowledgements(state: AnswerState, ...more: readonly (readonly [string, AnswerState])[]): Rule {
  return { exactly: new Map([['NAK\n', state], ...more]), beginning: [['ACK ', state]] }
}
