//! 64-bit Arm: the Procedure Call Standard, arch/arm64/include/uapi/asm/perf_regs.h.

use nix::libc::c_long;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::EndedCall;

/// The registers that a function of C leaves as they are for its caller, as bits of `enum perf_event_arm_regs`: x19 to x29. The others hold
/// whatever was computed last.
pub const KEPT_REGISTERS: u64 = 0x7ff << 19;

/// Calls of this processor alone in which a thread waits, and which go on after a stop: it has only those that all have.
pub const OWN_ROBUST_CALLS: &[c_long] = &[];

/// The instruction of a system call: `svc #0`.
const CALL: u32 = 0xd400_0001;
const INSTRUCTION_BYTES: u64 = 4;

/// The call that a stopped thread was in; `None` if it was in none, or in one that the kernel repeats. The kernel keeps no number for a
/// tracer: before the stop, `do_signal` of arch/arm64/kernel/signal.c forgets it, and moves the program counter of a call that is repeated back
/// to its instruction. So a thread has left a call if the program counter is behind such an instruction; x8 still holds the number.
pub fn ended_call(thread: Pid) -> Option<EndedCall> {
    let registers = ptrace::getregs(thread).ok()?;
    let before = usize::try_from(registers.pc.checked_sub(INSTRUCTION_BYTES)?).ok()?;
    let word = ptrace::read(thread, std::ptr::without_provenance_mut(before)).ok()?;
    let [result, _, length, .., number] = registers.regs.first_chunk::<9>()?;
    (word.cast_unsigned() & u64::from(u32::MAX) == u64::from(CALL)).then_some(EndedCall {
        number: number.cast_signed(),
        result: result.cast_signed(),
        length: *length,
    })
}
