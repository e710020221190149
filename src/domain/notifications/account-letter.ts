import { doer } from './doer.js'
import { inWords } from './moments.js'
import type { AccountNews, AccountNoticeKind } from './notice.js'

type Words = { readonly subject: string; readonly opening: string; readonly advice: string }

/** The words about a change of how an account is signed in to: what, when, from where, and what to do. */
export function accountWords({ kind, by, at }: AccountNews): Words {
  const { subject, what, after, unknown } = WORDS[kind]
  return {
    subject,
    opening: `${what} on ${inWords(at)}, by ${doer(by)}. ${after}`,
    advice: `If that was you, or you had asked for it, there is nothing to do. If not, ${unknown}, and look through your sessions and tokens for what is not yours.`,
  }
}

const IN_YOUR_NAME = 'somebody can sign in as you: change your password and tell your administrator at once'

const WORDS: Readonly<Record<AccountNoticeKind, Readonly<Record<'subject' | 'what' | 'after' | 'unknown', string>>>> = {
  'password-changed': {
    subject: 'Your password was changed',
    what: 'The password of your account was changed',
    after: 'Whoever was signed in elsewhere is signed out; tokens work on.',
    unknown: 'somebody else may have the password now: tell your administrator at once, who can set another',
  },
  'email-changed': {
    subject: 'Your e-mail address was changed',
    what: 'The e-mail address of your account was changed',
    after: 'Notices go to another address, or to none, from now on; this one is the last that comes here.',
    unknown: 'somebody may want you not to hear of what they do: tell your administrator at once, who can put it right',
  },
  'two-factor-enabled': {
    subject: 'Two-factor authentication was switched on',
    what: 'Two-factor authentication of your account was switched on',
    after: 'From now on signing in takes a code, and Git takes tokens only.',
    unknown: 'somebody else may hold the second factor: tell your administrator at once, who can switch it off',
  },
  'two-factor-disabled': {
    subject: 'Two-factor authentication was switched off',
    what: 'Two-factor authentication of your account was switched off',
    after: 'From now on the password alone is enough, and recovery codes are void.',
    unknown: IN_YOUR_NAME,
  },
  'recovery-codes-renewed': {
    subject: 'Your recovery codes were made anew',
    what: 'New recovery codes of your account were made',
    after: 'Those from before are void.',
    unknown: IN_YOUR_NAME,
  },
}
