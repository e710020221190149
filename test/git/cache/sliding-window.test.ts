// Attack: a reader stalls while the response fits only into the window in memory, and all other readers wait for it.
import t from 'tap'
import { SlidingWindow } from '../../../src/git/cache/sliding-window.js'

const MIB = 1_048_576

/** A window with readers who have taken so much, which is filled beyond what fits. */
function filled(...positions: readonly number[]) {
  const readers = new Map(positions.map((position, index) => [{ index }, position]))
  const window = new SlidingWindow(0, readers, 20)
  for (let number = 0; number < 9; number += 1) window.add(Buffer.alloc(MIB, number))
  return { window, left: () => [...readers.keys()].map(({ index }) => index), readers }
}

t.test('who stands still while others wait is left behind', async (t) => {
  const { window, left } = filled(100, 9 * MIB, 200)
  await window.waitForSpace()
  t.strictSame(left(), [1])
})

t.test('who moves is not, however slowly', async (t) => {
  const { window, left, readers } = filled(100, 9 * MIB)
  const [slow] = readers.keys()
  const moving = setInterval(() => readers.set(slow!, readers.get(slow!)! + 1), 2)
  const space = window.waitForSpace().then(() => 'space')
  const waited = new Promise((resolve) => setTimeout(() => resolve('waited'), 300))
  t.equal(await Promise.race([space, waited]), 'waited')
  clearInterval(moving)
  readers.set(slow!, 9 * MIB)
  window.trim()
  t.equal(await space, 'space')
  t.strictSame(left(), [0, 1])
})

t.test('where nobody waits for more, nobody is left behind', async (t) => {
  const { window, left } = filled(100, 8 * MIB + 100)
  const space = window.waitForSpace().then(() => 'space')
  const waited = new Promise((resolve) => setTimeout(() => resolve('waited'), 100))
  t.equal(await Promise.race([space, waited]), 'waited')
  t.strictSame(left(), [0, 1])
  window.close()
  t.equal(await space, 'space')
})
