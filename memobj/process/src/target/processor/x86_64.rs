//! x86-64: the System V ABI, arch/x86/include/uapi/asm/perf_regs.h.

use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::EndedCall;

/// The registers that a function of C leaves as they are for its caller, as bits of `enum perf_event_x86_regs`: rbx, rbp, r12 to r15. The
/// others hold whatever was computed last.
pub const KEPT_REGISTERS: u64 = 1 << 1 | 1 << 6 | 0b1111 << 20;

/// Calls of this processor alone in which a thread waits, and which go on after a stop.
pub const OWN_ROBUST_CALLS: &[c_long] = &[libc::SYS_pause, libc::SYS_poll, libc::SYS_select];

/// The call that a stopped thread was in. The kernel keeps its number in `orig_rax`, and -1 there if the thread came from user code by an
/// interrupt.
pub fn ended_call(thread: Pid) -> Option<EndedCall> {
    let registers = ptrace::getregs(thread).ok()?;
    Some(EndedCall {
        number: registers.orig_rax.cast_signed(),
        result: registers.rax.cast_signed(),
        length: registers.rdx,
    })
}
