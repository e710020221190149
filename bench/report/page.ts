import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdown } from './markdown.js'
import { plot } from './plot.js'
import type { Report } from './report.js'

const [BEGIN, END] = ['<!-- made by npm run bench -- --docs -->\n', '<!-- end -->']

/** Puts a run into docs/benchmarks.md, and its plot beside it. */
export function writePage(root: string, report: Report): void {
  const page = join(root, 'docs', 'benchmarks.md')
  const [before, rest] = readFileSync(page, 'utf8').split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for the figures`)
  writeFileSync(page, `${before}${BEGIN}\n${markdown(report)}\n\n${END}${after}`)
  if (report.curves.length > 0) writeFileSync(join(root, 'docs', 'benchmarks.svg'), plot(report.curves))
}
