//! `process`: a process and everything below it at one moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::header::{Header, record};
use super::names::named;
use super::scan::{Scan, fields, scanned};
use crate::process::ProcessState;

named!(ProcessState);

/// Declares the fields of a `process` record in their order: those of the run, of a process, and of its tree. The fields of a
/// process stand flat in the record for the root, and in [`ProcessSample`] for its descendants.
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
        /// Reading some values costs more than others. Resident and virtual size are read at every tick; the rest in turn,
        /// within a small share of the interval. With the default interval and a tree of ordinary size everything but PSS and
        /// USS is read every time. In the ticks between, what is read in turn is `null` in the root and left out in a child,
        /// since a log of many children would be twice as large; PSS and USS are always there, as `null`.
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
            /// A process of which nothing was measured yet.
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
            /// The record of `root`, as yet without children, totals and surroundings.
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

            /// The root's own values in the shape of a child's.
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
        /// The interval asked for, in seconds.
        interval_seconds: f64,
        /// Since the run began, by the monotonic clock: in order even where the wall clock was set back.
        elapsed_seconds: f64,
        /// How late this sample began.
        late_seconds: f64,
        /// Ticks that passed without a sample since the one before (suspended, or the machine was overloaded).
        missed_ticks: u64,
        /// What taking this sample took, in wall time: the cost of being watched.
        sample_seconds: f64,
    }
    fixed {
        /// Its number in the pid namespace of memmon.
        pid: u32,
        /// Its name; where the kernel keeps only 15 characters, the longer one of the command line if it begins the same.
        name: Arc<str>,
    }
    identity {
        /// The number of its parent now. A process whose parent ended gets another parent and stays in the tree.
        ppid: Option<u32>,
        /// When it began, RFC 3339. With `pid` its identity within a run.
        start_time: Option<Arc<str>>,
        /// When it began, in clock ticks since boot as the kernel counts them; `null` where there is no such count.
        start_ticks: Option<u64>,
        /// Its arguments, the command first, cut after 4096 bytes in all (the `started` event has them whole). Bytes that are
        /// no UTF-8 are replaced. `null` with `--no-cmdline` and where it may not be read.
        cmdline: Option<Arc<[String]>>,
    }
    every_tick {
        /// Resident set size: memory it has in RAM, shared or not. From `statm`, which on machines with many processors may be
        /// off by some MiB (since Linux 6.2 by about the square of the number of processors in pages).
        rss_bytes: Option<u64>,
        /// Virtual memory size: all its mappings, used or not.
        vms_bytes: Option<u64>,
        /// Proportional set size: private memory and its share of what it shares. Adds up over processes. From `smaps_rollup`.
        pss_bytes: Option<u64>,
        /// Unique set size: what would be free if it alone ended. From `smaps_rollup`.
        uss_bytes: Option<u64>,
        /// `rss_bytes` as a share of the machine's memory, 0 to 1.
        #[serde(alias = "percent_ratio")]
        memory_ratio: Option<f64>,
        /// `rss_bytes` as a share of the root's cgroup limit; `null` without a limit.
        cgroup_ratio: Option<f64>,
    }
    in_turn {
        /// What it is doing.
        state: Option<ProcessState>,
        /// What of it is in swap.
        swap_bytes: Option<u64>,
        /// The largest resident set size it ever had (`VmHWM`).
        rss_peak_bytes: Option<u64>,
        /// The part of the resident set that no file backs: heap and stacks. Where leaks grow.
        rss_anon_bytes: Option<u64>,
        /// The part of the resident set that maps files.
        rss_file_bytes: Option<u64>,
        /// The part of the resident set in shared memory.
        rss_shmem_bytes: Option<u64>,
        /// Processor time used since its last reading, as a share of one processor: 2.0 is two processors busy.
        cpu_ratio: Option<f64>,
        /// Its threads.
        threads: Option<u64>,
        /// Its open file descriptors.
        fds: Option<u64>,
    }
    tree {
        /// Every process below the root, ordered by start.
        children: Vec<ProcessSample>,
        /// The length of `children`.
        children_count: u64,
        /// Processes below the root that began and ended since the last sample, where the system tells of them.
        short_lived_count: Option<u64>,
        /// Sum of the children's resident sizes. Pages that several share are counted several times.
        children_rss_bytes: u64,
        /// `children_rss_bytes` and the root's resident size.
        total_rss_bytes: u64,
        /// Sum of the last known proportional sizes: each shared page counted once. `null` until every process
        /// of the tree was read.
        total_pss_bytes: Option<u64>,
        /// The age of the oldest value in `total_pss_bytes`.
        total_pss_age_seconds: Option<f64>,
        /// The control group of the root; `null` where there is none, or not read in this tick (at most once a second).
        cgroup: Option<Cgroup>,
        /// Memory pressure of the machine (PSI); `null` where the kernel does not account it, or not read in this tick.
        pressure: Option<Pressure>,
        /// The machine's memory; `null` if not read in this tick.
        system: Option<System>,
    }
}

scanned! {
    CgroupFields:
    /// The memory control group a process is in.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Cgroup {
        /// 1 or 2: the version of the hierarchy.
        pub version: u32,
        /// Its path as `/proc/PID/cgroup` tells it.
        pub path: Arc<str>,
        /// What the whole group uses, page cache and kernel memory included.
        pub current_bytes: Option<u64>,
        /// The smallest limit of the group and of those above it that can be seen; `null`: none.
        pub limit_bytes: Option<u64>,
        /// The most it ever used.
        pub peak_bytes: Option<u64>,
        /// Processes of the group that the kernel killed for want of memory.
        pub oom_kills: Option<u64>,
        /// The part in anonymous memory: heap and stacks.
        pub anon_bytes: Option<u64>,
        /// The part in page cache.
        pub file_bytes: Option<u64>,
        /// The part in the kernel; `null` in version 1 where it is not accounted.
        pub kernel_bytes: Option<u64>,
        /// The part in shared memory; contained in `file_bytes`.
        pub shmem_bytes: Option<u64>,
    }
}

scanned! {
    PressureFields:
    /// Memory pressure: the share of time in which tasks waited for memory (`/proc/pressure/memory`).
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Pressure {
        /// Some task waited, over the last 10 seconds.
        pub some_avg10_ratio: f64,
        /// Some task waited, over the last 60 seconds.
        pub some_avg60_ratio: f64,
        /// Some task waited, over the last 300 seconds.
        pub some_avg300_ratio: f64,
        /// Some task waited, in all since boot.
        pub some_total_seconds: f64,
        /// All tasks waited, over the last 10 seconds.
        pub full_avg10_ratio: f64,
        /// All tasks waited, over the last 60 seconds.
        pub full_avg60_ratio: f64,
        /// All tasks waited, over the last 300 seconds.
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
        /// All of it (`MemTotal`).
        pub total_bytes: u64,
        /// What a new program could have without swapping (`MemAvailable`).
        pub available_bytes: Option<u64>,
    }
}
