import axe from 'axe-core'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import type { Test } from 'tap'
import root from 'tap'
import { requireProgram } from '../acceptance/programs.js'

/** Why tests in a browser are skipped, or `false`. */
export const NO_BROWSER = requireProgram('chromium')

// Where pictures of the pages go, for people to look at. @default none are taken, which takes half of the time
const SCREENSHOTS = process.env['GITGATE_SCREENSHOTS']
const NARROW = 360
const WIDE = 1440
// Where tables are at their tightest, or have just become cards.
const BETWEEN = [740, 860, 940] as const
// The page, and each box whose contents would be cut off.
const BEYOND = `Math.max(...[document.documentElement, ...document.querySelectorAll('.table')].map((box) => box.scrollWidth - box.clientWidth))`
// Each width and each scheme: axe takes half a second of CPU for one look.
const LOOKS = [
  [NARROW, 'light'],
  [WIDE, 'dark'],
] as const
const PICTURES = [...LOOKS, [NARROW, 'dark'], [WIDE, 'light']] as const

let started: Promise<Browser> | undefined

/** Starts Debian's Chromium, once for all tests of a file; it ends with the last of them. */
export function startBrowser(): Promise<Browser> {
  if (started !== undefined) return started
  const starting = chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  root.teardown(async () => (await starting).close())
  return (started = starting)
}

/** Somebody at a browser of their own. */
export type Visit = { readonly context: BrowserContext; readonly page: Page; readonly mistakes: readonly string[] }

/** How a browser is set up. */
export type VisitOptions = {
  readonly javaScript?: boolean
  /** The certificate is one that nobody has signed. */
  readonly selfSigned?: boolean
}

/** Opens a browser with no cookies. Whatever the content security policy forbids, or a script throws, is in `mistakes`. */
export async function visit(
  browser: Browser,
  url: string,
  { javaScript = true, selfSigned = false }: VisitOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({
    baseURL: url,
    javaScriptEnabled: javaScript,
    ignoreHTTPSErrors: selfSigned,
  })
  const page = await context.newPage()
  const mistakes: string[] = []
  page.on('pageerror', (error) => mistakes.push(error.message))
  page.on('console', (message) => {
    // That a page was answered with a status of its own is no mistake of it.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      mistakes.push(message.text())
  })
  return { context, page, mistakes }
}

/** Signs in with a password, as people do. */
export async function signIn(page: Page, login: string, password: string): Promise<void> {
  await page.goto('/users/sign_in')
  await page.getByLabel('Username or email address').fill(login)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/**
 * Looks at the page as it is: axe finds nothing, and nothing is wider than the window, in light and dark.
 *
 * @param name what its pictures are called, in the folder GITGATE_SCREENSHOTS
 */
export async function inspectPage(t: Test, page: Page, name: string): Promise<void> {
  for (const [width, colorScheme] of LOOKS) {
    await show(page, width, colorScheme)
    t.same(await violations(page), [], `${name} at ${width} px, ${colorScheme}: axe finds nothing`)
  }
  for (const width of [NARROW, ...BETWEEN, WIDE]) {
    await page.setViewportSize({ width, height: 900 })
    t.equal(await page.evaluate(BEYOND), 0, `${name} at ${width} px: nothing is wider than the window, or cut off`)
  }
  if (SCREENSHOTS === undefined) return
  mkdirSync(SCREENSHOTS, { recursive: true })
  for (const [width, colorScheme] of PICTURES) {
    await show(page, width, colorScheme)
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true })
  }
}

async function show(page: Page, width: number, colorScheme: 'light' | 'dark'): Promise<void> {
  await page.setViewportSize({ width, height: width === NARROW ? 740 : 900 })
  await page.emulateMedia({ colorScheme })
}

/** What axe-core finds, in short. Works where the page's own scripts are off, too. */
async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate<boolean>("typeof axe === 'object'"))) await page.evaluate(axe.source)
  return await page.evaluate<string[]>(
    `axe.run(document).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target + ' ' + failureSummary)))`,
  )
}
