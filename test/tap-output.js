// Reads what tap has written: how many tests passed, failed and were skipped, and what failed where.

const INDENT = 4
const RESULT = /^( *)(not )?ok \d+(?: - )?(.*?)( # time=.*)?$/
const SHOWN_LINES = 20

/** Counts the tests of a TAP stream, and names what was skipped. */
export function count(tap) {
  const counts = { passed: 0, failed: 0, skipped: [] }
  let failedFiles = 0
  for (const line of tap.split('\n')) {
    const [, indent, not, name, time] = RESULT.exec(line) ?? []
    if (name === undefined) continue
    if (isSkipped(name)) counts.skipped.push(name)
    else if (time === undefined)
      continue // an assertion within a test
    else if (indent === '') failedFiles += not === undefined ? 0 : 1
    else if (not === undefined) counts.passed += 1
    else counts.failed += 1
  }
  // A file that crashes or hangs fails without a test of its own having failed.
  return { ...counts, failed: Math.max(counts.failed, failedFiles) }
}

/** Every failed assertion, and every test that failed without one, under the names of the tests that it stands in. */
export function failures(tap) {
  const path = []
  const found = []
  const lines = tap.split('\n')
  for (const [at, line] of lines.entries()) {
    const [, offset, heading] = /^( *)# Subtest: (.*)$/.exec(line) ?? []
    if (heading !== undefined) path.splice(offset.length / INDENT, path.length, heading)
    const [, indent, not, name] = RESULT.exec(line) ?? []
    if (not === undefined || isSkipped(name)) continue
    const where = [...path.slice(0, indent.length / INDENT), name.replace(/ \{$/, '')].join(' > ')
    if (found.some((failure) => failure.where.startsWith(`${where} > `))) continue
    const below = lines.slice(at + 1).filter((next) => next.trim() !== '')
    // A diagnostic in YAML, or else comments.
    const isEnd =
      below[0] === `${indent}  ---`
        ? (line) => line === `${indent}  ...`
        : (line) => !line.startsWith(`${indent}#`) || /^ *# Subtest: /.test(line)
    found.push({ where, why: below.slice(0, Math.min(below.findIndex(isEnd), SHOWN_LINES)).join('\n') })
  }
  return found
}

/**
 * The tests in which an assertion failed, or which threw: the innermost one each, with its file. Not those that only ran out
 * of time, which says nothing about why.
 *
 * @returns {{ file: string, test: string }[]}
 */
export function failedTests(tap) {
  const path = []
  const found = new Map()
  for (const line of tap.split('\n')) {
    const [, offset, heading] = /^( *)# Subtest: (.*)$/.exec(line) ?? []
    if (heading !== undefined) path.splice(offset.length / INDENT, path.length, heading)
    const [, indent, not, name, time] = RESULT.exec(line) ?? []
    const isAssertion = not !== undefined && time === undefined && !isSkipped(name)
    if (!isAssertion || name === 'timeout!') continue
    const [file, ...tests] = path.slice(0, indent.length / INDENT)
    if (tests.length > 0) found.set(`${file} ${tests.at(-1)}`, { file, test: tests.at(-1) })
  }
  return [...found.values()]
}

function isSkipped(name) {
  return / # (SKIP|TODO)/i.test(name)
}
