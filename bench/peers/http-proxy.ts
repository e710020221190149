// http-proxy as it comes, on loopback:  node build/bench/peers/http-proxy.js UPSTREAM PORT
import httpProxy from 'http-proxy'

const [target = '', port = ''] = process.argv.slice(2)
httpProxy.createProxyServer({ target }).listen(Number(port), '127.0.0.1')
