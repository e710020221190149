import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { accountActionPages } from './account-actions.js'
import { accountEditPages } from './account-edit.js'
import { accountPages } from './accounts.js'
import { auditPages } from './audit.js'
import { credentialPages } from './credentials.js'
import { explainPages } from './explain-page.js'
import { grantPages } from './grants.js'
import { impersonationPages } from './impersonation.js'
import { overviewPages } from './overview.js'
import { protectionPages } from './protections.js'
import { settingPages } from './settings-page.js'

const ADDERS = [
  overviewPages,
  accountPages,
  accountEditPages,
  accountActionPages,
  impersonationPages,
  credentialPages,
  grantPages,
  protectionPages,
  explainPages,
  settingPages,
  auditPages,
] as const

/** The path of the administration. */
export const ADMIN = '/-/admin'

/** The administration. Others get 404 for all its paths and methods. */
export function adminPages(pages: Pages, options: PageOptions): void {
  void pages.register(
    (plain, _options, done) => {
      plain.addHook('onRoute', (route) => {
        route.config = { ...route.config, audience: 'administrators' }
      })
      const area = plain.withTypeProvider<TypeBoxTypeProvider>() as Pages
      for (const add of ADDERS) add(area, options)
      done()
    },
    { prefix: ADMIN },
  )
}
