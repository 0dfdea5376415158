//! What differs between processors: registers, and system calls that only some have. All else is the same on 64-bit Linux.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{KEPT_REGISTERS, OWN_ROBUST_CALLS, ended_call};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{KEPT_REGISTERS, OWN_ROBUST_CALLS, ended_call};

/// The system call that a stopped thread was in: registers of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedCall {
    /// The number of the call; negative if the thread was in none.
    pub number: i64,
    /// What it returns: a negative error number, or the number of bytes for calls that read or write.
    pub result: i64,
    /// Its third argument: the number of bytes to write.
    pub length: u64,
}
