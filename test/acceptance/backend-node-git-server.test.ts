import t from 'tap'
import { nodeGitServer } from '../backends/node-git-server.js'
import { conformance } from './conformance/conformance.js'

await conformance(t, nodeGitServer)
