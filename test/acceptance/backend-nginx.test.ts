import t from 'tap'
import { nginx } from '../backends/nginx.js'
import { conformance } from './conformance/conformance.js'

await conformance(t, nginx)
