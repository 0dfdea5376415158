// Opens two exports of one process in Chrome DevTools' own loader and in memlab, and compares them with memobj's census.
//
//   memobj -p PID --retained --export a.heapsnapshot > a.jsonl; memobj -p PID --export b.heapsnapshot > b.jsonl
//   npm install @memlab/heap-analysis@2 chrome-devtools-frontend esbuild
//   node exports.mjs a.heapsnapshot a.jsonl b.heapsnapshot b.jsonl CLASS
//
// Runs in the folder of node_modules. CLASS is a type to follow: its path to root is printed. Exits with 1 if a number differs.
import {createReadStream, existsSync, readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

// DevTools uses it; Node has it since version 22.
Promise.withResolvers ??= () => {
  const all = {};
  all.promise = new Promise((resolve, reject) => Object.assign(all, {resolve, reject}));
  return all;
};

const here = createRequire(join(process.cwd(), 'x.js'));
const [first, firstRecord, second, secondRecord, followed] = process.argv.slice(2);
const census = file => JSON.parse(readFileSync(file, 'utf8').split('\n')[0]);
let differences = 0;
const check = (what, found, expected) => {
  if (found !== expected) {
    differences += 1;
    console.log(`DIFFERS ${what}: ${found}, memobj has ${expected}`);
  }
};

/** The worker of DevTools, as one module. The package leaves out a file that its own build writes. */
async function devTools() {
  const front = 'node_modules/chrome-devtools-frontend/front_end';
  const locales = `${front}/core/i18n/locales.js`;
  if (!existsSync(locales)) {
    const names = ['LOCALES', 'BUNDLED_LOCALES', 'DEFAULT_LOCALE', 'REMOTE_FETCH_PATTERN', 'LOCAL_FETCH_PATTERN'];
    writeFileSync(locales, names.map(name => `export const ${name} = ${name.endsWith('S') ? '[]' : "'en-US'"};\n`).join(''));
  }
  const worker = `./${front}/entrypoints/heap_snapshot_worker`;
  const contents = `export * from '${worker}/HeapSnapshotLoader.js'; export * from '${worker}/HeapSnapshot.js';`;
  await here('esbuild').build({
    stdin: {contents, resolveDir: process.cwd()}, bundle: true, platform: 'node', format: 'esm', outfile: 'devtools.mjs', logLevel: 'error',
  });
  return import(pathToFileURL(join(process.cwd(), 'devtools.mjs')));
}

async function openInDevTools(tools, file) {
  const begun = Date.now();
  const loader = new tools.HeapSnapshotLoader({sendEvent() {}});
  for await (const chunk of createReadStream(file, 'utf8')) loader.write(chunk);
  loader.close();
  const channel = new MessageChannel();
  new tools.SecondaryInitManager(channel.port2);
  const snapshot = await loader.buildSnapshot(channel.port1);
  channel.port1.close();
  console.log(`DevTools: ${file} in ${(Date.now() - begun) / 1000} s, ${snapshot.nodeCount} nodes`);
  return snapshot;
}

/** Aggregates of DevTools by the name of the class. */
function byClass(snapshot) {
  const aggregates = Object.values(snapshot.getAggregatesByClassKey(false, 'allObjects'));
  return new Map(aggregates.map(of => [of.name, of]));
}

// Cyclic garbage retains itself in an export, and is not among the retained sizes of memobj.
const garbage = new Map();
for (const row of census(firstRecord).unreachable.filter(row => row.cause === 'garbage')) garbage.set(row.type, row.size_bytes);
const retained = type => type.retained_bytes + (garbage.get(type.type) ?? 0);

const tools = await devTools();
const one = await openInDevTools(tools, first);
const types = census(firstRecord).types;
const classes = byClass(one);
for (const type of types) {
  const found = classes.get(type.type);
  check(`DevTools ${type.type} count`, found?.count, type.count);
  check(`DevTools ${type.type} size`, found?.self, type.size_bytes);
  check(`DevTools ${type.type} retained`, found?.maxRet, retained(type));
}
console.log(`DevTools: ${types.length} types: count, size and retained size compared`);

const two = await openInDevTools(tools, second);
const diff = Object.values(two.calculateSnapshotDiff(1, one.aggregatesForDiff(two.interfaceDefinitions?.() ?? '[]')));
const later = new Map(census(secondRecord).types.map(type => [type.type, type]));
const changed = new Map(diff.map(of => [of.name, of]));
for (const type of types) {
  const count = later.get(type.type)?.count;
  if (count !== undefined) check(`DevTools comparison ${type.type}`, changed.get(type.type)?.countDelta ?? 0, count - type.count);
}
for (const of of diff.filter(of => of.addedCount + of.removedCount > 0).slice(0, 10))
  console.log(`DevTools comparison: ${of.name} +${of.addedCount} -${of.removedCount}`);

const heap = await here('@memlab/heap-analysis').getFullHeapFromFile(first);
const sums = new Map();
let example = null;
heap.nodes.forEach(node => {
  if (node.type !== 'object') return;
  const sum = sums.get(node.name) ?? {count: 0, self: 0, retained: 0};
  sums.set(node.name, sum);
  sum.count += 1;
  sum.self += node.self_size;
  // As memobj: an object that another one of its class retains is not added again.
  let above = node.dominatorNode;
  while (above && above.name !== node.name && above.id !== above.dominatorNode?.id) above = above.dominatorNode;
  if (above?.name !== node.name || above.id === node.id) sum.retained += node.retainedSize;
  if (node.name === followed) example = node;
});
for (const type of types) {
  const found = sums.get(type.type);
  check(`memlab ${type.type} count`, found?.count, type.count);
  check(`memlab ${type.type} size`, found?.self, type.size_bytes);
  check(`memlab ${type.type} retained`, found?.retained, retained(type));
}
console.log(`memlab: ${types.length} types: count, size and retained size compared`);
const path = [];
for (let node = example; node?.pathEdge; node = node.pathEdge.fromNode) path.unshift(`${node.pathEdge.name_or_index} (${node.name})`);
console.log(`memlab: path to root: ${path.join(' → ')}`);
console.log(differences ? `${differences} numbers differ` : 'all numbers are the same');
process.exit(differences ? 1 : 0);
