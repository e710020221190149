import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { PageOptions } from '../../options.js'
import type { Pages } from '../../pages.js'
import { accountActs } from './account-acts.js'
import { accountPages } from './accounts.js'
import { explainPages } from './explain.js'
import { grantPages } from './grants.js'
import { protectionPages } from './protections.js'

/** Where the administration is. */
const ADMIN = '/-/admin'

/** The administration. Whoever is no administrator is told that there are no such pages, whatever the method. */
export function adminPages(pages: Pages, options: PageOptions): void {
  void pages.register(
    (plain, _options, done) => {
      plain.addHook('onRoute', (route) => {
        route.config = { ...route.config, audience: 'administrators' }
      })
      const area = plain.withTypeProvider<TypeBoxTypeProvider>() as Pages
      for (const add of [accountPages, accountActs, grantPages, protectionPages, explainPages]) add(area, options)
      done()
    },
    { prefix: ADMIN },
  )
}
