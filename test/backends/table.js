// Runs the conformance suite before every kind of server and writes its results into docs/backends.md:
//   npm run docs:backends
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const page = join(root, 'docs', 'backends.md')
const results = join(root, 'build', 'backends.tap')
const names = ['embedded-git', 'before-nginx', 'before-apache', 'before-gitolite', 'before-node-git-server']
const files = names.map((name) => `build/test/acceptance/${name}.test.js`)

const tap = join(root, 'node_modules', '.bin', 'tap')
const run = spawnSync(tap, ['--reporter=min', `--output-file=${results}`, ...files], { cwd: root, stdio: 'inherit' })
if (run.status !== 0) {
  console.error('The suite failed, so the page was left as it is.')
  process.exit(1)
}

const backends = []
const rows = new Map()
const reasons = new Map()
for (const line of readFileSync(results, 'utf8').split('\n')) {
  const started = /^ {4}# Subtest: (.*)$/.exec(line)?.[1]
  if (started !== undefined) backends.push(started)
  const backend = backends.at(-1)
  const passed = /^ {12}ok \d+ - (.*) # time=/.exec(line)?.[1]
  if (passed !== undefined) rows.set(passed, (rows.get(passed) ?? new Map()).set(backend, 'yes'))
  const [, name, reason] = /# .* can't: (.*) \((.*)\)$/.exec(line) ?? []
  if (name === undefined) continue
  rows.set(name, (rows.get(name) ?? new Map()).set(backend, 'no'))
  reasons.set(`${backend}: ${name}`, `- **${backend}**, ${name}: ${reason}.`)
}
// Other groups of the same files are no columns.
const columns = backends.filter((name) => [...rows.values()].some((row) => row.has(name)))
const table = [
  `| | ${columns.join(' | ')} |`,
  `|${' --- |'.repeat(columns.length + 1)}`,
  ...[...rows].map(([name, row]) => `| ${name} | ${columns.map((column) => row.get(column) ?? '').join(' | ')} |`),
  '',
  ...reasons.values(),
]
const [before, , after] = readFileSync(page, 'utf8').split(/<!-- made by npm run docs:backends -->\n|<!-- end -->/)
writeFileSync(page, `${before}<!-- made by npm run docs:backends -->\n${table.join('\n')}\n<!-- end -->${after}`)
console.log(`${rows.size} tests before ${columns.length} servers: docs/backends.md`)
