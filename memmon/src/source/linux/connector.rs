//! The kernel's process events connector: every fork, exec and exit of the machine, as it happens.
//!
//! The netlink socket needs the first pid and user namespaces, and before Linux 6.6 a privilege (drivers/connector/cn_proc.c). It
//! reports even a child that lived for a millisecond, with its exit status; reading `/proc` cannot.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::source::KernelEvent;

// include/uapi/linux/connector.h and cn_proc.h
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;
const CN_MSG_HEADER: usize = 20;

const EVENT_NONE: u32 = 0;
const EVENT_FORK: u32 = 0x0000_0001;
const EVENT_EXEC: u32 = 0x0000_0002;
const EVENT_COMM: u32 = 0x0000_0200;
const EVENT_EXIT: u32 = 0x8000_0000;

/// How long to wait for the kernel's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// The socket's buffer: about 10,000 events.
const RECEIVE_BUFFER: usize = 8 << 20;

/// A subscription.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
}

impl Connector {
    /// Subscribes, and waits for the kernel's confirmation.
    ///
    /// # Errors
    /// The connector is not permitted or not available: the kernel refuses, or does not answer.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            flags,
            Some(netlink::CONNECTOR),
        )?;
        // A larger buffer needs a privilege, which a listener usually has; the default size works too.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
        // Port 0: the kernel chooses a free one.
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, CN_IDX_PROC))?;
        // Every listener receives all answers: the clock's fraction identifies ours.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 10^9")]
        let sequence = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_nsec as u32;
        rustix::net::send(&socket, &subscription(sequence), SendFlags::empty())?;
        let connector = Self { socket };
        connector.wait_for_answer(sequence)?;
        Ok(connector)
    }

    /// Waits for the answer. Without it events are useless: a listener in another namespace receives them too if a program in the first
    /// namespaces listens, but their pids mean other processes there.
    fn wait_for_answer(&self, sequence: u32) -> io::Result<()> {
        let mut fds = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
        let until = Instant::now() + ANSWER_TIMEOUT;
        let mut message = [0_u8; 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            // A listener in another namespace is neither refused nor answered.
            match rustix::event::poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::net::recv(&self.socket, &mut message[..], RecvFlags::empty()) {
                Ok((n, _)) => match message.get(..n).and_then(|message| answer(message, sequence)) {
                    Some(0) => return Ok(()),
                    Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    None => {}
                },
                Err(Errno::INTR | Errno::AGAIN | Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// All events since the last call.
    pub fn events(&mut self) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        let mut message = [0_u8; 1024];
        loop {
            match rustix::net::recv(&self.socket, &mut message[..], RecvFlags::empty()) {
                Ok((0, _)) => return events,
                Ok((n, _)) => events.extend(message.get(..n).and_then(parse)),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => events.push(KernelEvent::Lost),
                // No more for now.
                Err(_) => return events,
            }
        }
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// nlmsghdr, cn_msg, and the subscription.
fn subscription(sequence: u32) -> Vec<u8> {
    let length = u32::try_from(NLMSG_HEADER + CN_MSG_HEADER + 4).unwrap_or(0);
    let mut message = Vec::with_capacity(64);
    message.extend(length.to_ne_bytes());
    message.extend(NLMSG_DONE.to_ne_bytes());
    message.extend([0; 2 + 4 + 4]);
    message.extend(CN_IDX_PROC.to_ne_bytes());
    message.extend(CN_VAL_PROC.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(sequence.to_ne_bytes());
    message.extend(4_u16.to_ne_bytes());
    message.extend([0; 2]);
    message.extend(PROC_CN_MCAST_LISTEN.to_ne_bytes());
    message
}

/// The error number, or 0, in the answer to `sequence`: `cn_proc_ack` adds one to its `ack`; its `seq` is lost on the way.
fn answer(message: &[u8], sequence: u32) -> Option<i32> {
    let ack = word(message, NLMSG_HEADER + 12)?;
    let event = message.get(NLMSG_HEADER + CN_MSG_HEADER..)?;
    let is_ours = ack == sequence.wrapping_add(1) && word(event, 0)? == EVENT_NONE;
    word(event, 16).filter(|_| is_ours).map(u32::cast_signed)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// One message: nlmsghdr, cn_msg, proc_event. Events of threads other than the main thread are skipped.
fn parse(message: &[u8]) -> Option<KernelEvent> {
    let event = message.get(NLMSG_HEADER + CN_MSG_HEADER..)?;
    let word = |at| word(event, at);
    // what u32, cpu u32, timestamp_ns u64 (8-byte aligned), then the event's own fields.
    let at = Duration::from_nanos(u64::from_ne_bytes(event.get(8..16)?.try_into().ok()?));
    match word(0)? {
        EVENT_FORK => {
            // parent_pid, parent_tgid, child_pid, child_tgid
            let (parent, child_thread, child) = (word(20)?, word(24)?, word(28)?);
            (child_thread == child).then_some(KernelEvent::Fork { parent, child, at })
        }
        EVENT_EXEC => Some(KernelEvent::Exec { pid: word(20)? }),
        EVENT_COMM => {
            let (thread, pid) = (word(16)?, word(20)?);
            let name = event.get(24..40)?.split(|&b| b == 0).next()?;
            (thread == pid).then(|| KernelEvent::Name { pid, name: Arc::from(String::from_utf8_lossy(name)) })
        }
        EVENT_EXIT => {
            let (thread, pid) = (word(16)?, word(20)?);
            let wait_status = word(24)?.cast_signed();
            (thread == pid).then_some(KernelEvent::Exit { pid, wait_status, at })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_child_has_its_status() {
        let Ok(mut connector) = Connector::open() else {
            // Needs the first namespaces, and before Linux 6.6 CAP_NET_ADMIN; the integration tests report it as skipped.
            return;
        };
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let events = connector.events();
        let us = std::process::id();
        assert!(
            events.iter().any(
                |e| matches!(e, KernelEvent::Fork { parent, child, .. } if *parent == us && *child == pid)
            )
        );
        assert!(events.contains(&KernelEvent::Exec { pid }));
        assert!(
            events
                .iter()
                .any(|e| matches!(e, KernelEvent::Exit { pid: p, wait_status: 0x700, .. } if *p == pid))
        );
    }

    proptest! {
        #[test]
        fn any_message_is_parsed(message: Vec<u8>) {
            let _ = parse(&message);
        }
    }
}
