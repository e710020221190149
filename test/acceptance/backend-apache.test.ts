import t from 'tap'
import { apache } from '../backends/apache.js'
import { conformance } from './conformance/conformance.js'

await conformance(t, apache)
