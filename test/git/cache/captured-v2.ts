import type { Captured } from './captured.js'
import { MAIN, SIDE, TAG } from './captured.js'

/** Requests of version 2. */
export const VERSION_2: readonly Captured[] = [
  {
    client: 'clone, refs',
    asks: 'refs',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|0001|peel\n|symrefs\n|unborn\n|ref-prefix HEAD\n|ref-prefix refs/heads/\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'clone',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'clone with progress',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|ofs-delta|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'clone --depth 1',
    asks: 'v2-pack tags',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|deepen 1|want ${MAIN}\n|want ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'clone --filter=blob:none',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|filter blob:none|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'checkout of a partial clone',
    asks: 'v2-pack',
    packets:
      'command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|filter blob:none|want 00750edc07d6415dcc07ae0351e9397b0222b7ba\n|want 0cfbf08886fca9a91cb753ec8734c84fcbe52c9f\n|want 1e8b314962144c26d5e0e50fd29d2ca327864913\n|want 7ed6ff82de6bcc2a78243fc9c54d3ef5ac14da69\n|want b8626c4cff2849624fb67f87cd0ad72b163671ad\n|want d00491fd7e5bb6fa28c517a0bb32b8b506539d4d\n|want f98585722413e2775399bf49fd987a837d5aad5a\n|done\n|0000',
  },
  {
    client: 'clone --filter=tree:0',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|filter tree:0|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'clone --single-branch',
    asks: 'v2-pack tags',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|want ${MAIN}\n|want ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'clone --mirror, refs',
    asks: 'refs',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|0001|peel\n|symrefs\n|unborn\n|ref-prefix HEAD\n|ref-prefix refs/\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'clone --shallow-exclude',
    asks: 'v2-pack tags all-refs',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|deepen-not v1|want ${MAIN}\n|want ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'clone --shallow-since',
    asks: 'v2-pack tags not-storable',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|deepen-since 1700000004|want ${MAIN}\n|want ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'fetch --deepen 1, refs',
    asks: 'refs',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|0001|peel\n|symrefs\n|unborn\n|ref-prefix refs/heads/main\n|ref-prefix refs/refs/heads/main\n|ref-prefix refs/tags/refs/heads/main\n|ref-prefix refs/heads/refs/heads/main\n|ref-prefix refs/remotes/refs/heads/main\n|ref-prefix refs/remotes/refs/heads/main/HEAD\n|ref-prefix refs/heads/main\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'fetch --deepen 1',
    asks: 'v2-round tags all-refs',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|shallow ${MAIN}|deepen 1|deepen-relative\n|want ${MAIN}\n|have ${MAIN}\n|0000`,
  },
  {
    client: 'fetch --unshallow',
    asks: 'v2-round tags',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|include-tag|ofs-delta|shallow 717f9c90a1130f0407da8ac945e13942acb53f66|deepen 2147483647|want ${MAIN}\n|have ${MAIN}\n|have 717f9c90a1130f0407da8ac945e13942acb53f66\n|0000`,
  },
  {
    client: 'fetch --unshallow, refs',
    asks: 'refs',
    packets: 'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|0001|peel\n|symrefs\n|unborn\n|0000',
  },
  {
    client: 'fetch --unshallow (2)',
    asks: 'v2-round',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${TAG}\n|have ${MAIN}\n|0000`,
  },
  {
    client: 'fetch --unshallow (3)',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${TAG}\n|have ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'fetch with haves, refs',
    asks: 'refs',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|0001|peel\n|symrefs\n|unborn\n|ref-prefix main\n|ref-prefix refs/main\n|ref-prefix refs/tags/main\n|ref-prefix refs/heads/main\n|ref-prefix refs/remotes/main\n|ref-prefix refs/remotes/main/HEAD\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'fetch with haves',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|done\n|0000`,
  },
  {
    client: 'clone sha256, refs',
    asks: 'refs',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha256|0001|peel\n|symrefs\n|unborn\n|ref-prefix HEAD\n|ref-prefix refs/heads/\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'clone sha256',
    asks: 'v2-pack',
    packets:
      'command=fetch|agent=git/2.39.5|object-format=sha256|0001|thin-pack|no-progress|ofs-delta|want 65149ca4f439d2dcac3d28113bdac15ea73c6fc90ad36d514a446d7e84123c6f\n|want 65149ca4f439d2dcac3d28113bdac15ea73c6fc90ad36d514a446d7e84123c6f\n|want 443232ef5914fbd29571bf7353cbdf8ebd3297d0ce6a5c340cb8c0a675a4e7a8\n|want 9738c280a47325595f8fbd18a5c769198eac7e04bd385e13b0a425d144feee99\n|done\n|0000',
  },
  {
    client: 'clone with server-option, refs',
    asks: 'uncacheable',
    packets:
      'command=ls-refs\n|agent=git/2.39.5|object-format=sha1|server-option=x|0001|peel\n|symrefs\n|unborn\n|ref-prefix HEAD\n|ref-prefix refs/heads/\n|ref-prefix refs/tags/\n|0000',
  },
  {
    client: 'clone with server-option',
    asks: 'uncacheable',
    packets: `command=fetch|agent=git/2.39.5|server-option=x|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'negotiate-only',
    asks: 'uncacheable',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|wait-for-done|have 3adba9415d1b3d007baa1486ac4096d630515074\n|have ${SIDE}\n|have ae71faa5d86fc5ca64662d91d6640c462f8ea3d1\n|have 6c09042f9e88634cd4baaced4137fc60f163ab6b\n|have 23cb290133260c3ac4c1694cb24f4cc683223c61\n|0000`,
  },
  {
    client: 'clone with combined filters',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|filter combine:blob:limit=1k+tree:2|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'clone --filter=sparse:oid',
    asks: 'uncacheable',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|filter sparse:oid=main:a.txt|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'clone with session-id',
    asks: 'v2-pack',
    packets: `command=fetch|agent=git/2.39.5|session-id=20240101T000000.000000Z-H00000000-P00000001|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|want ${MAIN}\n|want ${SIDE}\n|want ${TAG}\n|done\n|0000`,
  },
  {
    client: 'fetch with haves (2)',
    asks: 'v2-round',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|have 65b072f5efd229228c32788638c9eaeef247bccf\n|have f3bcba90728673bbb1c4f731b743beb02704db3b\n|have ${SIDE}\n|have ae71faa5d86fc5ca64662d91d6640c462f8ea3d1\n|have 6c09042f9e88634cd4baaced4137fc60f163ab6b\n|0000`,
  },
  {
    client: 'fetch into an unrelated history',
    asks: 'v2-round',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|have 5bd1f502fa4f29bda031cd1470b4745a75ca7052\n|have ddf576efe6cff236291276712f0587db0b47bb36\n|have 7323d8239af0bca7ff6b0c5b51b8dffe1ff845f1\n|have 090a09eb2e8ab715ec6ea632ef6bcec373ba0e93\n|have ae1a6638895ed62caddd5074bd956984eba4d53d\n|have 0faa8a6e8031ef006729c0d9d66295e3a3891732\n|have 9127d5587017c30f28f071d9e321c69c80982414\n|have 75c2717d6328047d23d6950b67fa034b2d1859c6\n|have c882e8b9a03a548a0eb07f702ee041485c9cefc8\n|have c0b498625474be0c381c35e27d8a37cde06c717f\n|have c9372c960b9f746ec5d89dd0d6a081fc0cc1aa9b\n|have c3138c67048fbb5b1a254d55f5822a6cc79893f4\n|have c6522270638482f2772cde97347780bb0daa31d3\n|have 3a56725267e9eeee2a25551f18821308980dcb6e\n|have 5b79436e713d4cb146375030cf08332fb8fe0cc7\n|have cc6b2fde8922529114de60d9194baae392fff150\n|0000`,
  },
  {
    client: 'fetch into an unrelated history (2)',
    asks: 'v2-round',
    packets: `command=fetch|agent=git/2.39.5|object-format=sha1|0001|thin-pack|no-progress|ofs-delta|want ${MAIN}\n|have 2af0e050949d4eb6deb8355367258c5622698518\n|have b7828625f90302a820049d557172dd98b512881a\n|have 4ea740ec71ec5b938ee88f1db675108620c494bf\n|0000`,
  },
]
