// Prints what hyparquet reads from a lake, in the format of values.py:
//   node values.mjs TABLE_DIRECTORY
// The working directory's node_modules must have hyparquet and hyparquet-compressors.
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { resolve } = createRequire(join(process.cwd(), 'package.json'))
const load = name => import(pathToFileURL(resolve(name)))
const { asyncBufferFromFile, parquetMetadataAsync, parquetRead } = await load('hyparquet')
const { compressors } = await load('hyparquet-compressors')

const sha256 = text => createHash('sha256').update(text).digest('hex')
// Dates and timestamps stay numbers, since a Date only has milliseconds.
const raw = value => value
const parsers = { dateFromDays: raw, timestampFromMicroseconds: raw }

const root = process.argv[2]
const files = readdirSync(root, { recursive: true }).filter(name => name.endsWith('.parquet')).sort()
const hashes = new Map()
const ids = new Set()
let rows = 0
for (const name of files) {
  const file = await asyncBufferFromFile(join(root, name))
  const metadata = await parquetMetadataAsync(file)
  if (metadata.schema[0].repetition_type !== undefined) throw new Error(`${name}: the root is ${metadata.schema[0].repetition_type}`)
  if (!/^prospector version \S+ \(build \S+\)$/.test(metadata.created_by)) throw new Error(`${name}: created by ${metadata.created_by}`)
  for (const { name: column } of metadata.schema.slice(1)) if (!hashes.has(column)) hashes.set(column, [])
  await parquetRead({
    file, metadata, compressors, parsers, rowFormat: 'object',
    onComplete: found => {
      rows += found.length
      for (const row of found) {
        ids.add(row.event_id)
        for (const [column, all] of hashes) {
          const value = row[column]
          if (value !== undefined && value !== null) all.push(sha256(String(value)))
        }
      }
    },
  })
}
console.log('rows', rows, 'ids', ids.size)
for (const [column, all] of hashes) console.log(column, all.length, sha256(all.sort().join('')))
