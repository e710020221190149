// Attack: a push of 250 refs with names of 4,000 bytes, 2,650 bytes of gzip, that are each compared with the 100 rules of a
// token: 600 ms of CPU time for one request.
import t from 'tap'
import { command, encodeHead, parseInPieces, ZERO } from '../protocol/push-bytes.js'

const PREFIX = 'refs/heads/'
const named = (bytes: number) =>
  encodeHead({ commands: [command(`${PREFIX}${'a'.repeat(bytes - PREFIX.length)}`, ZERO)] })

t.test("a push can't name a ref of more than 1,024 bytes", async (t) => {
  t.match(parseInPieces([named(1_024)]).parsing, { kind: 'head' })
  for (const bytes of [1_025, 3_900, 4_000])
    t.match(parseInPieces([named(bytes)]).parsing, { kind: 'malformed', reason: 'a ref has more than 1024 bytes' })
})
