// Properties of request keys and of completeness: lines in any order, one of them changed, any bytes, pieces cut anywhere.
import fc from 'fast-check'
import t from 'tap'
import { encodePktLine, FLUSH } from '../../../src/protocol/pkt-line.js'
import type { ResponseShape } from '../../../src/git/cache/response-validator.js'
import { parseUploadPackRequest } from '../../../src/git/cache/upload-pack-request.js'
import { ResponseValidator } from '../../../src/git/cache/response-validator.js'
import { ask, encode, keyIn } from './captured.js'

const SHAPES: readonly ResponseShape[] = ['advertisement', 'refs', 'v2-pack', 'v2-round', 'v0-pack', 'v0-depth']

const id = fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: 40, maxLength: 40 })
const name = fc.string({ unit: fc.constantFrom(...Array.from('ab/é-."\\,[')), minLength: 1, maxLength: 9 })
const people = fc.tuple(name, name).map(([agent, session]) => [`agent=${agent}`, `session-id=${session}`])
const few = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.uniqueArray(of, { maxLength: 4 })

type Fetch = { wants: string[]; shallow: string[]; haves: string[]; others: string[] }
const fetch: fc.Arbitrary<Fetch> = fc.record({
  wants: fc.uniqueArray(id, { minLength: 1, maxLength: 4 }),
  shallow: few(id),
  haves: few(id),
  others: few(
    fc.oneof(
      fc.integer({ min: 1, max: 99 }).map((depth) => `deepen ${depth}`),
      fc.integer({ min: 1, max: 99 }).map((seconds) => `deepen-since ${seconds}`),
      name.map((ref) => `deepen-not ${ref}`),
      fc.constantFrom('filter blob:none', 'filter tree:0', 'filter combine:tree:0+blob:none'),
    ),
  ),
})
const flags = fc.subarray(['thin-pack', 'ofs-delta', 'no-progress', 'include-tag', 'deepen-relative'])

/** A request of version 0 or 2; the flags are capabilities or arguments. */
function write(version: number, { wants, shallow, haves, others }: Fetch, flags: string[], people: string[]): string {
  const have = haves.map((text) => `have ${text}`)
  const sets = shallow.map((text) => `shallow ${text}`)
  if (version === 2) {
    const want = wants.map((text) => `want ${text}\n`)
    return ['command=fetch', ...people, '0001', ...flags, ...sets, ...others, ...want, ...have, 'done\n', '0000'].join(
      '|',
    )
  }
  const [first = '', ...more] = wants.map((text) => `want ${text}`)
  return [
    [first, 'side-band-64k', ...flags, ...people].join(' '),
    ...more,
    ...sets,
    ...others,
    '0000',
    ...have,
    'done',
  ].join('|')
}

/** The same in another order. */
const twoOrders = <T>(of: readonly T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray([...of], { minLength: of.length, maxLength: of.length })
/** Makes values comparable. */
const reported = (value: unknown): string => JSON.stringify(value)

t.test('the order of wants and shallow lines, and the client’s name, don’t change the key', async () => {
  const orders = fetch.chain((one) =>
    fc.record({ one: fc.constant(one), wants: twoOrders(one.wants), shallow: twoOrders(one.shallow) }),
  )
  fc.assert(
    fc.property(orders, flags, people, people, fc.constantFrom(0, 1, 2), (made, flags, some, others, version) => {
      const { one, wants, shallow } = made
      const key = keyIn(ask(write(version, one, flags, some), version))
      const other = keyIn(ask(write(version, { ...one, wants, shallow }, flags, others), version))
      return key !== 'uncacheable' && key === other
    }),
  )
})

t.test('the order of ls-refs arguments and the client’s name don’t change the key; another argument does', async () => {
  const args = few(
    fc.oneof(
      fc.constantFrom('peel', 'symrefs', 'unborn'),
      name.map((ref) => `ref-prefix ${ref}`),
    ),
  )
  const keyOf = (people: string[], list: string[]): string =>
    keyIn(ask(['command=ls-refs', ...people, '0001', ...list, '0000'].join('|'), 2))
  const orders = args.chain((one) => fc.tuple(fc.constant(one), twoOrders(one)))
  fc.assert(
    fc.property(orders, args, people, people, ([one, two], three, some, others) => {
      const key = keyOf(some, one)
      const isSame = reported([...one].sort()) === reported([...three].sort())
      return key !== 'uncacheable' && key === keyOf(others, two) && isSame === (key === keyOf(some, three))
    }),
  )
})

t.test('two fetches that differ in one list differ in their keys', async () => {
  const lists = ['wants', 'shallow', 'haves', 'others'] as const
  fc.assert(
    fc.property(
      fetch,
      fetch,
      fc.constantFrom(...lists),
      flags,
      fc.constantFrom(0, 2),
      (one, two, list, flags, version) => {
        const changed = { ...one, [list]: two[list] }
        const isSet = list === 'wants' || list === 'shallow'
        const shown = (of: string[]): string => reported(isSet ? [...of].sort() : of)
        const isSame = shown(one[list]) === shown(two[list])
        const key = keyIn(ask(write(version, one, flags, []), version))
        return isSame === (key === keyIn(ask(write(version, changed, flags, []), version)))
      },
    ),
  )
})

t.test('two fetches that differ in their flags, or in the order of haves, differ in their keys', async () => {
  fc.assert(
    fc.property(fetch, flags, flags, fc.constantFrom(0, 2), (one, some, others, version) => {
      const key = keyIn(ask(write(version, one, some, []), version))
      const turned = keyIn(ask(write(version, { ...one, haves: [...one.haves].reverse() }, some, []), version))
      const flagged = keyIn(ask(write(version, one, others, []), version))
      return one.haves.length > 1 === (key !== turned) && (reported(some) === reported(others)) === (key === flagged)
    }),
  )
})

t.test('changing one byte of a request makes it uncacheable or changes its key', async () => {
  const changes = fetch.chain((one) =>
    fc.record({ one: fc.constant(one), flags, at: fc.nat(), byte: fc.nat(255), version: fc.constantFrom(0, 2) }),
  )
  fc.assert(
    fc.property(changes, ({ one, flags, at, byte, version }) => {
      const packets = write(version, one, flags, [])
      const [body, changed] = [encode(packets), encode(packets)]
      changed[at % body.length] = byte
      const header = `version=${version}`
      const [key, other] = [keyIn(parseUploadPackRequest(body, header)), keyIn(parseUploadPackRequest(changed, header))]
      const isSame = body.toString('latin1').toLowerCase() === changed.toString('latin1').toLowerCase()
      // Hexadecimal lengths may be upper or lower case. A want that has become equal to another one disappears from the set.
      return key !== 'uncacheable' && (isSame || key !== other)
    }),
    { numRuns: 2_000 },
  )
})

t.test('parsing never throws, whatever the bytes', async (t) => {
  const header = fc.constantFrom(undefined, 'version=1', 'version=2')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), header, (bytes, header) => {
      return parseUploadPackRequest(Buffer.from(bytes), header).kind === 'uncacheable'
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})

const line = fc.constantFrom(
  ...['acknowledgments\n', 'NAK\n', `ACK ${'a'.repeat(40)}\n`, 'ready\n', 'shallow-info\n', 'packfile\n'],
  ...[`shallow ${'a'.repeat(40)}`, '# service=git-upload-pack\n', `${'a'.repeat(40)} refs/heads/main\n`, 'ERR no'],
  ...['\x01PACK', '\x02words', '\x03fatal', '\x01', ''],
)
const packet = fc.oneof(
  line.map(encodePktLine),
  fc.constantFrom(...['0000', '0001', '0002'].map((text) => Buffer.from(text))),
)
const packets = fc.array(packet, { maxLength: 12 }).map((list) => Buffer.concat(list))
const bodies: readonly (readonly [ResponseShape, Buffer[]])[] = [
  ['v2-pack', ['packfile\n', '\x01PACK'].map(encodePktLine)],
  ['v2-round', ['acknowledgments\n', 'NAK\n'].map(encodePktLine)],
  ['v0-pack', ['NAK\n', '\x01PACK', '\x02words'].map(encodePktLine)],
]
const complete = fc.constantFrom(...bodies).map(([shape, list]) => [shape, Buffer.concat([...list, FLUSH])] as const)
const answer = fc.oneof(
  fc.tuple(fc.constantFrom(...SHAPES), packets),
  fc.tuple(
    fc.constantFrom(...SHAPES),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  ),
  complete,
)

t.test(
  'cut anywhere, a response is as complete as in one piece, and complete at no more than one position',
  async () => {
    fc.assert(
      fc.property(answer, fc.array(fc.nat()), ([shape, bytes], cuts) => {
        const [once, cut] = [new ResponseValidator(shape), new ResponseValidator(shape)]
        once.push(bytes)
        const marks = cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b)
        for (const [index, mark] of [...marks, bytes.length].entries())
          cut.push(bytes.subarray(marks[index - 1] ?? 0, mark))

        let ends = 0
        const byteByByte = new ResponseValidator(shape)
        for (const byte of bytes) {
          byteByByte.push(Buffer.from([byte]))
          if (byteByByte.completeness === 'complete') ends++
        }
        const same = new Set([once, cut, byteByByte].map(({ completeness: completeness }) => completeness)).size === 1
        return same && ends <= 1 && (once.completeness !== 'complete' || ends === 1)
      }),
      { numRuns: 3_000 },
    )
  },
)
