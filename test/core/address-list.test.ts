import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { addressMatcher, parseAddressList, plainAddress } from '../../src/core/address-list.js'
import { clientAddress } from '../../src/server/server.js'

function isIn(list: string, address: string): boolean {
  return addressMatcher(parseAddressList(list))(address)
}

t.test('addresses and networks are listed with commas or blanks', async (t) => {
  t.strictSame(parseAddressList('127.0.0.1, 10.0.0.0/8  ::1,\n2001:db8::/32'), [
    '127.0.0.1',
    '10.0.0.0/8',
    '::1',
    '2001:db8::/32',
  ])
  t.strictSame(parseAddressList(''), [])
  t.strictSame(parseAddressList(' , '), [])
})

t.test('an entry that is neither is named', async (t) => {
  const wrong = [
    'localhost',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
  ]
  for (const entry of [
    ...wrong,
    '10.0.0.0/a',
    '10.0.0.0/ 8',
    '::/129',
    ':::',
    '/8',
    '10.0.0.1:80',
    '[::1]',
    '*',
    '::1/1e1',
  ]) {
    const [first = ''] = entry.split(' ')
    const expected = {
      code: 'invalid',
      message: `"${first}" is not an IP address or a network such as 10.0.0.0/8`,
    }
    t.throws(() => parseAddressList(`127.0.0.1,${entry}`), expected, entry)
  }
  t.throws(() => parseAddressList('\u202Eevil'), { message: /^"\uFFFDevil"/ })
})

t.test('an address is in the networks that hold it, and in no other', async (t) => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    // The host's bits in a network don't count.
    ['10.1.2.3/8', '10.9.9.9', true],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['192.0.2.128/25', '192.0.2.128', true],
    ['192.0.2.1/32', '192.0.2.1', true],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:DB8::1', '2001:0db8:0:0::0001', true],
    ['::1', '127.0.0.1', false],
    ['::/0', '2001:db8::1', true],
    // An IPv4 address in its IPv6 form is the same address, in whichever of the two it was listed or seen.
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '::FFFF:10.1.2.3', true],
    ['10.0.0.0/8', '::ffff:a01:203', true],
    ['10.0.0.0/8', '::ffff:11.0.0.1', false],
    ['::ffff:10.1.2.3', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['192.0.2.1,10.0.0.0/8,::1', '::1', true],
    ['', '127.0.0.1', false],
  ]
  for (const [list, address, expected] of cases) t.equal(isIn(list, address), expected, `${address} in "${list}"`)
})

t.test('what is no address is in no list', async (t) => {
  for (const text of ['', 'localhost', '10.0.0.1:80', '10.0.0.1 ', 'unknown', '_hidden', '10.0.0.0/8'])
    t.notOk(isIn('0.0.0.0/0,::/0', text), text)
  fc.assert(fc.property(fc.string(), (text) => isIP(text) !== 0 || !isIn('0.0.0.0/0,::/0', text)))
})

t.test('an address is in the network of its first bits, and not in the one beside it', async () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), (address, bits) => {
      const octets = address.split('.').map(Number)
      const at = Math.floor((bits - 1) / 8)
      const beside = octets.map((octet, index) => (index === at ? octet ^ (1 << (7 - ((bits - 1) % 8))) : octet))
      return isIn(`${address}/${bits}`, address) && !isIn(`${address}/${bits}`, beside.join('.'))
    }),
  )
  fc.assert(fc.property(fc.ipV6(), (address) => isIn(address, address) && isIn('::/0', address)))
})

t.test('an IPv4 address that a dual-stack socket shows is put in its own form', async (t) => {
  t.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1')
  for (const address of ['192.0.2.1', '::1', '2001:db8::1', '::ffff:not-one', ''])
    t.equal(plainAddress(address), address)
})

t.test('without trusted proxies the client is whoever holds the other end of the socket', async (t) => {
  const isTrusted = addressMatcher([])
  t.equal(clientAddress('192.0.2.1', '', isTrusted), '192.0.2.1')
  t.equal(clientAddress('::ffff:192.0.2.1', '', isTrusted), '192.0.2.1')
  t.equal(clientAddress('2001:db8::1', '', isTrusted), '2001:db8::1')
})

// Attack: whoever guesses tokens names another address with each guess, and is never banned; or names one that is.
t.test('X-Forwarded-For of an untrusted client counts for nothing', async (t) => {
  for (const trusted of [[], ['10.0.0.0/8']]) {
    const isTrusted = addressMatcher(trusted)
    for (const header of ['198.51.100.1', '127.0.0.1', '10.0.0.1', '198.51.100.1, 10.0.0.1', '', ' ,'])
      t.equal(clientAddress('192.0.2.1', header, isTrusted), '192.0.2.1', header)
  }
})

t.test('behind trusted proxies the client is the last address that is none of them', async (t) => {
  const isTrusted = addressMatcher(['10.0.0.0/8', '2001:db8::/32'])
  const cases: readonly (readonly [string, string, string])[] = [
    ['10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['::ffff:10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '192.0.2.1', '192.0.2.1'],
    ['10.0.0.1', '192.0.2.1,10.0.0.2,10.0.0.3', '192.0.2.1'],
    ['10.0.0.1', ' 192.0.2.1 ,\t10.0.0.2 ', '192.0.2.1'],
    ['10.0.0.1', '::ffff:192.0.2.1', '192.0.2.1'],
    // What the client itself has sent stands before, whatever it says.
    ['10.0.0.1', '127.0.0.1, 192.0.2.1', '192.0.2.1'],
    ['10.0.0.1', '10.0.0.9, 192.0.2.1, 10.0.0.2', '192.0.2.1'],
    ['10.0.0.1', 'rubbish, 192.0.2.1', '192.0.2.1'],
    // A proxy that says nothing, or nothing that can be read, is all that is known.
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', 'unknown', '10.0.0.1'],
    ['10.0.0.1', '192.0.2.1, unknown', '10.0.0.1'],
    ['10.0.0.1', '192.0.2.1, unknown, 10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', '10.0.0.2, 10.0.0.3', '10.0.0.2'],
  ]
  for (const [socket, header, expected] of cases)
    t.equal(clientAddress(socket, header, isTrusted), expected, `${socket} says ${header}`)
})

t.test('whatever a trusted proxy says, the client is an address', async () => {
  const isTrusted = addressMatcher(['10.0.0.0/8'])
  const hop = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constant('10.0.0.2'))
  fc.assert(
    fc.property(fc.array(hop), (hops) => isIP(clientAddress('10.0.0.1', hops.join(','), isTrusted)) !== 0),
    { numRuns: 500 },
  )
})
