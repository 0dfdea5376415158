//! `process`: a process and its descendants at one moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::header::{Header, record};
use super::names::named;
use super::scan::{Scan, fields, scanned};
use crate::process::ProcessState;

named!(ProcessState);

/// Declares the fields of a `process` record in their order: those of the run, of a process, and of its tree. The fields of a
/// process are flat in the record for the root, and in [`ProcessSample`] for its descendants.
macro_rules! measured {
    (
        run { $($(#[$($run_attr:tt)*])* $run:ident: $run_type:ty,)* }
        fixed { $($(#[$($fixed_attr:tt)*])* $fixed:ident: $fixed_type:ty,)* }
        identity { $($(#[$($identity_attr:tt)*])* $identity:ident: $identity_type:ty,)* }
        every_tick { $($(#[$($attr:tt)*])* $field:ident: $type:ty,)* }
        in_turn { $($(#[$($turn_attr:tt)*])* $turn_field:ident: $turn_type:ty,)* }
        tree { $($(#[$($tree_attr:tt)*])* $tree:ident: $tree_type:ty,)* }
    ) => {
        /// One process at one moment; an element of [`ProcessRecord::children`].
        ///
        /// Resident and virtual size are read in every sample. The other values are read in turn, within a small share of the interval. With
        /// the default interval and a tree of ordinary size, only PSS and USS are not read in every sample. A value that was not read is
        /// `null` in the root and absent in a child, which halves a log of many children. PSS and USS are `null` in both.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct ProcessSample {
            $($(#[$($fixed_attr)*])* pub $fixed: $fixed_type,)*
            $($(#[$($identity_attr)*])* pub $identity: $identity_type,)*
            $($(#[$($attr)*])* pub $field: $type,)*
            $($(#[$($turn_attr)*])* #[serde(skip_serializing_if = "Option::is_none")] pub $turn_field: $turn_type,)*
        }

        record! {
            /// A root process and all its descendants at one moment (`type`: `process`). The root's own values stand flat in
            /// the record.
            pub struct ProcessRecord {
                $($(#[$($run_attr)*])* pub $run: $run_type,)*
                $($(#[$($fixed_attr)*])* pub $fixed: $fixed_type,)*
                $($(#[$($identity_attr)*])* pub $identity: $identity_type,)*
                $($(#[$($attr)*])* pub $field: $type,)*
                $($(#[$($turn_attr)*])* pub $turn_field: $turn_type,)*
                $($(#[$($tree_attr)*])* pub $tree: $tree_type,)*
            }
        }

        fields! {
            /// Scans the fields of the run, behind the header.
            trait RunFields { $($(#[$($run_attr)*])* $run: $run_type,)* }
        }

        fields! {
            /// Scans the fields that identify a process.
            trait IdentityFields {
                $($(#[$($fixed_attr)*])* $fixed: $fixed_type,)*
                $($(#[$($identity_attr)*])* $identity: $identity_type,)*
            }
        }

        fields! {
            /// Scans the sizes of a process.
            trait SizeFields {
                $($(#[$($attr)*])* $field: $type,)*
                $($(#[$($turn_attr)*])* $turn_field: $turn_type,)*
            }
        }

        fields! {
            /// Scans the fields of the tree, behind those of its root.
            trait TreeFields { $($(#[$($tree_attr)*])* $tree: $tree_type,)* }
        }

        impl Scan for ProcessSample {
            fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
                struct Skip;
                impl IdentityFields for Skip {}
                impl SizeFields for Skip {}
                cursor.object(|cursor| {
                    IdentityFields::scan(&mut Skip, cursor, b'{')?;
                    SizeFields::scan(&mut Skip, cursor, b',')
                })
            }
        }

        impl ProcessSample {
            /// Creates a process without measurements.
            #[must_use]
            pub fn unread(pid: u32, name: &str) -> Self {
                Self {
                    pid,
                    name: name.into(),
                    $($identity: None,)*
                    $($field: None,)*
                    $($turn_field: None,)*
                }
            }
        }

        impl ProcessRecord {
            /// Creates the record of `root` without children and system values.
            #[must_use]
            pub fn new(header: Header, root: ProcessSample) -> Self {
                Self {
                    total_rss_bytes: root.rss_bytes.unwrap_or(0),
                    $($fixed: root.$fixed,)*
                    $($identity: root.$identity,)*
                    $($field: root.$field,)*
                    $($turn_field: root.$turn_field,)*
                    ..Self::default()
                }
                .with_header(header)
            }

            /// Returns the root's values in the form of a child's.
            #[must_use]
            pub fn root(&self) -> ProcessSample {
                ProcessSample {
                    $($fixed: self.$fixed.clone(),)*
                    $($identity: self.$identity.clone(),)*
                    $($field: self.$field.clone(),)*
                    $($turn_field: self.$turn_field.clone(),)*
                }
            }
        }
    };
}

measured! {
    run {
        /// The requested interval.
        interval_seconds: f64,
        /// The time since the run began, by the monotonic clock: it never goes back, even if `timestamp` does.
        elapsed_seconds: f64,
        /// The delay of this sample after its due time.
        late_seconds: f64,
        /// The number of ticks without a sample since the previous sample: the machine was suspended or overloaded.
        missed_ticks: u64,
        /// The duration of taking this sample: the cost of monitoring.
        sample_seconds: f64,
    }
    fixed {
        /// Its pid in the pid namespace of memmon.
        pid: u32,
        /// Its name. The kernel keeps 15 bytes; if the command line begins with these bytes, this is the longer name from the command line.
        name: Arc<str>,
    }
    identity {
        /// The pid of its current parent; a process whose parent exited gets another parent and stays in the tree.
        ppid: Option<u32>,
        /// Its start time, RFC 3339; with `pid` it identifies the process within a run.
        start_time: Option<Arc<str>>,
        /// Its start time in clock ticks since boot; `null` if the system has no such count.
        start_ticks: Option<u64>,
        /// Its arguments, the command first, truncated to 4096 bytes in all (the `started` event has all of them). Invalid UTF-8 is replaced.
        /// `null` with `--no-cmdline`, or without permission to read it.
        cmdline: Option<Arc<[String]>>,
    }
    every_tick {
        /// Resident set size: its memory in RAM, shared or not. From `statm`, which may be off by some MiB on machines with many processors
        /// (since Linux 6.2 by about the square of the number of processors in pages).
        rss_bytes: Option<u64>,
        /// Virtual memory size: all its mappings, used or not.
        vms_bytes: Option<u64>,
        /// Proportional set size: its private memory and its share of shared memory. The values of several processes add up. From
        /// `smaps_rollup`.
        pss_bytes: Option<u64>,
        /// Unique set size: the memory that its exit alone would free. From `smaps_rollup`.
        uss_bytes: Option<u64>,
        /// `rss_bytes` as a share of the machine's memory; 0.5 is half of it.
        #[serde(alias = "percent_ratio")]
        memory_ratio: Option<f64>,
        /// `rss_bytes` as a share of the limit of the root's cgroup; `null` without a limit.
        cgroup_ratio: Option<f64>,
    }
    in_turn {
        /// Its state.
        state: Option<ProcessState>,
        /// Its swapped-out size.
        swap_bytes: Option<u64>,
        /// Its largest resident set size so far (`VmHWM`).
        rss_peak_bytes: Option<u64>,
        /// The part of the resident set that no file backs: heap and stacks, where leaks grow.
        rss_anon_bytes: Option<u64>,
        /// The part of the resident set that maps files.
        rss_file_bytes: Option<u64>,
        /// The part of the resident set in shared memory.
        rss_shmem_bytes: Option<u64>,
        /// The processor time used since its last reading, as a share of one processor; 2.0 is two busy processors.
        cpu_ratio: Option<f64>,
        /// The number of its threads.
        threads: Option<u64>,
        /// The number of its open file descriptors.
        fds: Option<u64>,
    }
    tree {
        /// All descendants of the root, ordered by start.
        children: Vec<ProcessSample>,
        /// The number of objects in `children`.
        children_count: u64,
        /// The number of descendants that started and exited since the previous sample; `null` if the system does not report them.
        short_lived_count: Option<u64>,
        /// The sum of the children's resident sizes; shared pages count several times.
        children_rss_bytes: u64,
        /// The sum of `children_rss_bytes` and the root's resident size.
        total_rss_bytes: u64,
        /// The sum of the last known proportional sizes; each shared page counts once; `null` until every process was read.
        total_pss_bytes: Option<u64>,
        /// The age of the oldest value in `total_pss_bytes`.
        total_pss_age_seconds: Option<f64>,
        /// The control group of the root; `null` if there is none, or if it was not read in this sample (at most once a second).
        cgroup: Option<Cgroup>,
        /// The memory pressure of the machine (PSI); `null` if the kernel does not count it, or if it was not read in this sample.
        pressure: Option<Pressure>,
        /// The memory of the machine; `null` if it was not read in this sample.
        system: Option<System>,
    }
}

scanned! {
    CgroupFields:
    /// The memory control group a process is in.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Cgroup {
        /// The version of the kernel's cgroup hierarchy: 1 or 2.
        pub version: u32,
        /// The path in the hierarchy, as in `/proc/PID/cgroup`.
        pub path: Arc<str>,
        /// The usage of the whole group, with page cache and kernel memory.
        pub current_bytes: Option<u64>,
        /// The smallest limit of the group and of the visible groups above it; `null` without a limit.
        pub limit_bytes: Option<u64>,
        /// The largest usage of the group so far.
        pub peak_bytes: Option<u64>,
        /// The number of processes of the group that the kernel's OOM killer killed.
        pub oom_kills: Option<u64>,
        /// The part in anonymous memory: heap and stacks.
        pub anon_bytes: Option<u64>,
        /// The part in page cache.
        pub file_bytes: Option<u64>,
        /// The part in the kernel; `null` if version 1 does not count it.
        pub kernel_bytes: Option<u64>,
        /// The part in shared memory; `file_bytes` includes it.
        pub shmem_bytes: Option<u64>,
    }
}

scanned! {
    PressureFields:
    /// Memory pressure: the share of time in which tasks waited for memory (`/proc/pressure/memory`).
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct Pressure {
        /// Some task waited, over the last 10 seconds.
        pub some_avg10_ratio: f64,
        /// Some task waited, over the last minute.
        pub some_avg60_ratio: f64,
        /// Some task waited, over the last 5 minutes.
        pub some_avg300_ratio: f64,
        /// Some task waited, in all since boot.
        pub some_total_seconds: f64,
        /// All tasks waited, over the last 10 seconds.
        pub full_avg10_ratio: f64,
        /// All tasks waited, over the last minute.
        pub full_avg60_ratio: f64,
        /// All tasks waited, over the last 5 minutes.
        pub full_avg300_ratio: f64,
        /// All tasks waited, in all since boot.
        pub full_total_seconds: f64,
    }
}

scanned! {
    SystemFields:
    /// The machine's memory.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct System {
        /// The size of the machine's memory (`MemTotal`).
        pub total_bytes: u64,
        /// The memory that a new program can get without swapping (`MemAvailable`).
        pub available_bytes: Option<u64>,
    }
}
