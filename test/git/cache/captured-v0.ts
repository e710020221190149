import type { Captured } from './captured.js'
import { MAIN, SIDE, TAG } from './captured.js'

/** Requests of version 0; those of version 1 are the same. */
export const VERSION_0: readonly Captured[] = [
  {
    client: 'clone',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5\n|want ${SIDE}\n|want ${TAG}\n|0000|done\n`,
  },
  {
    client: 'clone with progress',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack ofs-delta deepen-since deepen-not agent=git/2.39.5\n|want ${SIDE}\n|want ${TAG}\n|0000|done\n`,
  },
  {
    client: 'clone --depth 1',
    asks: 'v0-depth tags',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen 1|0000`,
  },
  {
    client: 'clone --depth 1 (2)',
    asks: 'v0-pack tags',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen 1|0000|done\n`,
  },
  {
    client: 'clone --filter=blob:none',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5 filter\n|want ${SIDE}\n|want ${TAG}\n|filter blob:none|0000|done\n`,
  },
  {
    client: 'checkout of a partial clone',
    asks: 'v0-pack',
    packets:
      'want 00750edc07d6415dcc07ae0351e9397b0222b7ba multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5 filter\n|want 0cfbf08886fca9a91cb753ec8734c84fcbe52c9f\n|want 1e8b314962144c26d5e0e50fd29d2ca327864913\n|want 7ed6ff82de6bcc2a78243fc9c54d3ef5ac14da69\n|want b8626c4cff2849624fb67f87cd0ad72b163671ad\n|want d00491fd7e5bb6fa28c517a0bb32b8b506539d4d\n|want f98585722413e2775399bf49fd987a837d5aad5a\n|filter blob:none|0000|done\n',
  },
  {
    client: 'clone --filter=tree:0',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5 filter\n|want ${SIDE}\n|want ${TAG}\n|filter tree:0|0000|done\n`,
  },
  {
    client: 'clone --single-branch',
    asks: 'v0-pack tags',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|0000|done\n`,
  },
  {
    client: 'clone --shallow-exclude',
    asks: 'v0-depth tags all-refs',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen-not v1|0000`,
  },
  {
    client: 'clone --shallow-exclude (2)',
    asks: 'v0-pack tags all-refs',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen-not v1|0000|done\n`,
  },
  {
    client: 'clone --shallow-since',
    asks: 'v0-depth tags not-storable',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen-since 1700000004|0000`,
  },
  {
    client: 'clone --shallow-since (2)',
    asks: 'v0-pack tags not-storable',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|deepen-since 1700000004|0000|done\n`,
  },
  {
    client: 'fetch --deepen 1',
    asks: 'v0-depth tags all-refs',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k deepen-relative thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|shallow ${MAIN}|deepen 1|0000`,
  },
  {
    client: 'fetch --deepen 1 (2)',
    asks: 'v0-pack tags all-refs',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k deepen-relative thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|shallow ${MAIN}|deepen 1|0000|have ${MAIN}\n|done\n`,
  },
  {
    client: 'fetch --unshallow',
    asks: 'v0-depth tags',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|shallow 717f9c90a1130f0407da8ac945e13942acb53f66|deepen 2147483647|0000`,
  },
  {
    client: 'fetch --unshallow (2)',
    asks: 'v0-pack tags',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta deepen-since deepen-not agent=git/2.39.5\n|shallow 717f9c90a1130f0407da8ac945e13942acb53f66|deepen 2147483647|0000|have ${MAIN}\n|have 717f9c90a1130f0407da8ac945e13942acb53f66\n|done\n`,
  },
  {
    client: 'fetch with haves',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5\n|0000|done\n`,
  },
  {
    client: 'clone sha256',
    asks: 'v0-pack',
    packets:
      'want 65149ca4f439d2dcac3d28113bdac15ea73c6fc90ad36d514a446d7e84123c6f multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5\n|want 443232ef5914fbd29571bf7353cbdf8ebd3297d0ce6a5c340cb8c0a675a4e7a8\n|want 9738c280a47325595f8fbd18a5c769198eac7e04bd385e13b0a425d144feee99\n|0000|done\n',
  },
  {
    client: 'isomorphic clone',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k ofs-delta agent=git/isomorphic-git@1.44.17\n|want ${SIDE}\n|want ${TAG}\n|want 6c09042f9e88634cd4baaced4137fc60f163ab6b\n|0000|done\n`,
  },
  {
    client: 'isomorphic clone depth',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k ofs-delta agent=git/isomorphic-git@1.44.17\n|deepen 1\n|0000|done\n`,
  },
  {
    client: 'clone with session-id',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5 session-id=20240101T000000.000000Z-H00000000-P00000001\n|want ${SIDE}\n|want ${TAG}\n|0000|done\n`,
  },
  {
    client: 'fetch with haves (2)',
    asks: 'v0-pack',
    packets: `want ${MAIN} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta deepen-since deepen-not agent=git/2.39.5\n|0000|have 65b072f5efd229228c32788638c9eaeef247bccf\n|have f3bcba90728673bbb1c4f731b743beb02704db3b\n|have ${SIDE}\n|done\n`,
  },
]
