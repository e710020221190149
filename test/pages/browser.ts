import axe from 'axe-core'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import type { Test } from 'tap'
import { requireProgram } from '../acceptance/programs.js'

/** Why tests in a browser are skipped, or `false`. */
export const NO_BROWSER = requireProgram('chromium')

const SCREENSHOTS = join(import.meta.dirname, '..', '..', 'screenshots')
const WIDTHS = [360, 1440] as const
// Where tables are at their tightest, or have just become cards.
const BETWEEN = [740, 860, 940] as const
// The page, and each box whose contents would be cut off.
const BEYOND = `Math.max(...[document.documentElement, ...document.querySelectorAll('.table')].map((box) => box.scrollWidth - box.clientWidth))`
const SCHEMES = ['light', 'dark'] as const

/** Starts Debian's Chromium; it ends with the test. */
export async function startBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  return browser
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
  await page.getByLabel('Username or e-mail address').fill(login)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/**
 * Looks at the page as it is: axe finds nothing, nothing is wider than the window at 360 and 1440 pixels, in light and dark.
 *
 * @param name what the pictures are called, in `build/screenshots`
 */
export async function inspectPage(t: Test, page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width === 360 ? 740 : 900 })
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme })
      t.same(await violations(page), [], `${name} at ${width} px, ${colorScheme}: axe finds nothing`)
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true })
    }
  }
  for (const width of [WIDTHS[0], ...BETWEEN, WIDTHS[1]]) {
    await page.setViewportSize({ width, height: 900 })
    t.equal(await page.evaluate(BEYOND), 0, `${name} at ${width} px: nothing is wider than the window, or cut off`)
  }
}

/** What axe-core finds, in short. Works where the page's own scripts are off, too. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  return await page.evaluate<string[]>(
    `axe.run(document).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target + ' ' + failureSummary)))`,
  )
}
