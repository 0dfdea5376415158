//! Any census.

use common::record::{
    CacheTotal, CensusRecord, Coverage, GcGeneration, GcState, HolderTotal, ModuleTotal, Omitted,
    PythonBuild, PythonThread, Record, TypeTotal,
};
use proptest::array::{uniform2, uniform3, uniform4, uniform6, uniform9};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{header, named, number, text, words};
use crate::support::samples::{self, Fill};

/// Any census, of today's version or of one that wrote less.
pub fn census() -> BoxedStrategy<Record> {
    prop_oneof![1 => lists(), 3 => whole()].prop_map(|census| Record::Census(Box::new(census))).boxed()
}

fn python() -> BoxedStrategy<PythonBuild> {
    (uniform2(text()), uniform3(of(any::<bool>())), uniform3(of(text())), of(any::<u64>()))
        .prop_map(
            |(
                [version, implementation],
                [debug, free_threaded, shared],
                [executable, located_by, layout],
                others,
            )| {
                PythonBuild {
                    version,
                    implementation,
                    debug,
                    free_threaded,
                    shared,
                    executable,
                    located_by,
                    layout,
                    other_runtimes: others,
                }
            },
        )
        .boxed()
}

fn gc() -> BoxedStrategy<GcState> {
    let generation = uniform6(of(any::<u64>())).prop_map(
        |[pending, threshold, collections, collected, uncollectable, objects]| GcGeneration {
            pending,
            threshold,
            collections,
            collected,
            uncollectable,
            objects,
        },
    );
    (of(any::<bool>()), vec(generation, 0..4), uniform3(of(any::<u64>())))
        .prop_map(|(enabled, generations, [tracked, frozen, garbage])| GcState {
            enabled,
            generations,
            tracked,
            frozen,
            garbage,
        })
        .boxed()
}

fn coverage() -> BoxedStrategy<Coverage> {
    let unread = vec(text(), 0..3);
    (any::<u64>(), of(named()), uniform4(of(any::<u64>())), uniform3(of(number())), unread)
        .prop_map(
            |(
                objects_bytes,
                allocator,
                bytes,
                [allocator_ratio, malloc_ratio, rss_ratio],
                unread_frames_of,
            )| {
                let [
                    allocator_used_bytes,
                    allocator_explained_bytes,
                    malloc_used_bytes,
                    malloc_explained_bytes,
                ] = bytes;
                Coverage {
                    objects_bytes,
                    allocator,
                    allocator_used_bytes,
                    allocator_explained_bytes,
                    allocator_ratio,
                    malloc_used_bytes,
                    malloc_explained_bytes,
                    malloc_ratio,
                    rss_ratio,
                    unread_frames_of,
                }
            },
        )
        .boxed()
}

fn whole() -> BoxedStrategy<CensusRecord> {
    let counts = (uniform9(of(any::<u64>())), uniform6(of(any::<u64>())));
    let taken = (of(any::<bool>()), uniform2(of(number())), (of(named()), of(named()), of(named())));
    (lists(), of(python()), of(gc()), of(coverage()), counts, taken)
        .prop_map(|(lists, python, gc, coverage, (totals, others), (in_collection, times, words))| {
            let [
                tracked_objects,
                tracked_size_bytes,
                permanent_objects,
                permanent_size_bytes,
                reachable_objects,
                reachable_size_bytes,
                heap_objects,
                heap_size_bytes,
                total_overhead_bytes,
            ] = totals;
            let [interpreters, attempts, interrupted_calls, torn_reads, rejected_reads, memobj_peak_bytes] =
                others;
            let (scope, method, live_reason) = words;
            let [pause_seconds, duration_seconds] = times;
            CensusRecord {
                python,
                interpreters,
                scope,
                tracked_objects,
                tracked_size_bytes,
                permanent_objects,
                permanent_size_bytes,
                reachable_objects,
                reachable_size_bytes,
                heap_objects,
                heap_size_bytes,
                total_overhead_bytes,
                gc,
                coverage,
                method,
                live_reason,
                attempts,
                in_collection,
                pause_seconds,
                interrupted_calls,
                duration_seconds,
                torn_reads,
                rejected_reads,
                memobj_peak_bytes,
                ..lists
            }
        })
        .boxed()
}

fn lists() -> BoxedStrategy<CensusRecord> {
    let row = || (text(), any::<u64>(), any::<u64>());
    let kind = (row(), any::<u64>(), any::<bool>());
    let omitted = || of((any::<u64>(), any::<u64>(), any::<u64>()));
    let place = (of(text()), of(text()), of(any::<u32>()));
    let thread = (of(text()), uniform2(of(any::<u64>())), uniform3(of(any::<bool>())), place);
    let who = (any::<u32>(), of(any::<u64>()), of(any::<u32>()), of(text()), words());
    let lists = (vec(kind, 0..4), omitted(), vec(row(), 0..4), omitted(), of(vec(thread, 0..3)));
    let cache = (text(), any::<u64>(), uniform4(of(any::<u64>())));
    let held = (of(vec(row(), 0..3)), omitted(), of(vec(cache, 0..3)), omitted());
    let cut =
        |o: Option<(u64, u64, u64)>| o.map(|(rows, count, size_bytes)| Omitted { rows, count, size_bytes });
    (header(), who, lists, held, uniform2(any::<u64>()), of(any::<u64>()))
        .prop_map(move |(header, who, lists, held, [total_objects, total_size_bytes], rss_bytes)| {
            let (pid, start_ticks, root_pid, name, cmdline) = who;
            let (types, types_omitted, modules, modules_omitted, threads) = lists;
            let (holders, holders_omitted, caches, caches_omitted) = held;
            CensusRecord {
                schema: header.schema,
                timestamp: header.timestamp,
                host: header.host,
                run: header.run,
                iteration: header.iteration,
                pid,
                start_ticks,
                root_pid,
                name,
                cmdline,
                total_objects,
                total_size_bytes,
                types: types
                    .into_iter()
                    .map(|((name, count, size_bytes), overhead_bytes, size_exact)| TypeTotal {
                        name,
                        count,
                        size_bytes,
                        overhead_bytes,
                        size_exact,
                        retained_bytes: None,
                    })
                    .collect(),
                types_omitted: cut(types_omitted),
                modules: modules
                    .into_iter()
                    .map(|(module, count, size_bytes)| ModuleTotal { module, count, size_bytes })
                    .collect(),
                modules_omitted: cut(modules_omitted),
                threads: threads.map(|threads| {
                    threads
                        .into_iter()
                        .map(|(name, [ident, native_id], [daemon, alive, main], (function, file, line))| {
                            PythonThread { name, ident, native_id, daemon, alive, main, function, file, line }
                        })
                        .collect()
                }),
                rss_bytes,
                holders: holders.map(|holders| {
                    holders
                        .into_iter()
                        .map(|(holder, count, size_bytes)| HolderTotal {
                            holder,
                            count,
                            size_bytes,
                            retained_bytes: None,
                        })
                        .collect()
                }),
                holders_omitted: cut(holders_omitted),
                caches: caches.map(|caches| {
                    caches
                        .into_iter()
                        .map(|(name, entries, [size_bytes, max_entries, hits, misses])| CacheTotal {
                            name,
                            entries,
                            size_bytes,
                            max_entries,
                            hits,
                            misses,
                            ..samples::cache_total(Fill::Bare)
                        })
                        .collect()
                }),
                caches_omitted: cut(caches_omitted),
                ..samples::census(Fill::Bare)
            }
        })
        .boxed()
}
