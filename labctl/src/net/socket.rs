//! A netlink socket that is asked and answered at once: the kernel has answered by the time that sending
//! returns. It belongs to the namespace in which it was opened, whichever thread uses it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use super::wire::{Batch, DONE, DUMP, DUMP_INTERRUPTED, ERROR, Messages};

/// What an answer to a question about one thing has at most.
const ANSWER: usize = 8 << 10;
/// What the kernel puts into one answer of a list at most.
const LISTED: usize = 64 << 10;
/// The kernel's own bookkeeping is part of what a socket may have in flight.
const SEND_ROOM: usize = 4 << 10;
/// What every kernel lets a socket send at once without being asked.
const SENT_UNASKED: usize = 128 << 10;
/// Numbers of lists have this bit, which those of a batch's messages are far below.
const FIRST_LIST: u32 = 1 << 31;

/// An open socket of one netlink family.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// How many lists it was asked for.
    lists: u32,
}

/// What has come of a list.
#[derive(Debug, Default)]
struct Listing {
    /// The number of the request.
    number: u32,
    /// The bodies of its messages.
    found: Vec<Vec<u8>>,
    /// Whether something changed meanwhile, so that some may be missing or there twice.
    interrupted: bool,
}

impl Listing {
    /// Takes what the kernel answered; whether that was the end. What another request left unread is no part of it.
    fn take(&mut self, answer: &[u8]) -> io::Result<bool> {
        for message in Messages(answer).filter(|message| message.number == self.number) {
            // It goes on to its end, which has to be read before the next list.
            self.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
            match message.kind {
                // The number of an error that ended it, or not below 0.
                DONE => match message.body.first_chunk().copied().map_or(0, i32::from_ne_bytes) {
                    error if error < 0 => return Err(Errno::from_raw(-error).into()),
                    _ => return Ok(true),
                },
                ERROR => match parse_error(message.body)? {
                    Some(reason) => return Err(reason.into()),
                    None => return Ok(true),
                },
                _ => self.found.push(message.body.to_vec()),
            }
        }
        Ok(false)
    }
}

/// A message that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the message in its batch.
    pub number: u32,
    /// Why.
    pub reason: Errno,
}

/// What the kernel answered to a batch.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What it refused, in the order in which it said so.
    pub refused: Vec<Refusal>,
    /// Other messages: type and body.
    pub told: Vec<(u16, Vec<u8>)>,
    /// Whether it has acknowledged a message.
    pub acknowledged: bool,
}

impl Socket {
    /// Opens a socket in the namespace of the calling thread.
    pub fn open(family: SockProtocol) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, family)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { fd, buffer: vec![0; ANSWER], lists: 0 })
    }

    /// Sends messages and takes what the kernel answers. At least one of them should ask to be acknowledged.
    pub fn ask(&mut self, batch: &Batch) -> io::Result<Answer> {
        self.send(batch)?;
        let mut answer = Answer::default();
        while let Some(length) = self.receive()? {
            for message in Messages(&self.buffer[..length]) {
                if message.kind != ERROR {
                    answer.told.push((message.kind, message.body.to_vec()));
                    continue;
                }
                match parse_error(message.body)? {
                    None => answer.acknowledged = true,
                    Some(reason) => answer.refused.push(Refusal { number: message.number, reason }),
                }
            }
        }
        if answer.acknowledged || !answer.refused.is_empty() {
            return Ok(answer);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel did not acknowledge a request"))
    }

    /// Lists what there is of something: the bodies of the messages. A list during which something changed is made
    /// once more.
    pub fn list(&mut self, kind: u16, family_header: &[u8], attributes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        for _ in 0..2 {
            let listing = self.list_once(kind, family_header, attributes)?;
            if !listing.interrupted {
                return Ok(listing.found);
            }
        }
        Err(io::Error::other("what was being listed has changed meanwhile"))
    }

    fn list_once(&mut self, kind: u16, family_header: &[u8], attributes: &[u8]) -> io::Result<Listing> {
        self.lists = self.lists.wrapping_add(1);
        let mut listing = Listing { number: FIRST_LIST | self.lists, ..Listing::default() };
        let mut batch = Batch::default();
        batch.push(kind, DUMP, family_header, attributes);
        batch.number_first(listing.number);
        self.send(&batch)?;
        self.buffer.resize(LISTED, 0);
        loop {
            let length = self.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if listing.take(&self.buffer[..length])? {
                return Ok(listing);
            }
        }
    }

    fn send(&self, batch: &Batch) -> io::Result<()> {
        let length = batch.bytes().len() + SEND_ROOM;
        if length > SENT_UNASKED {
            // Without the privilege the kernel's limit holds, and sending says so.
            let _ = setsockopt(&self.fd, sockopt::SndBufForce, &length);
        }
        loop {
            match send(self.fd.as_raw_fd(), batch.bytes(), MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }

    /// The length of the next answer in the buffer; `None` if there is no more.
    fn receive(&mut self) -> io::Result<Option<usize>> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                outcome => return Ok(Some(outcome?)),
            }
        }
    }
}

/// `struct nlmsgerr`, which begins with an error number; `None` is an acknowledgement.
fn parse_error(body: &[u8]) -> io::Result<Option<Errno>> {
    match body.first_chunk().copied().map(i32::from_ne_bytes) {
        Some(0) => Ok(None),
        Some(error) => Ok(Some(Errno::from_raw(-error))),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, number: u32, body: &[u8]) -> Vec<u8> {
        let mut batch = Batch::default();
        batch.push(kind, flags, body, &[]);
        batch.number_first(number);
        batch.bytes().to_vec()
    }

    #[test]
    fn a_list_that_was_interrupted_is_read_to_its_end_and_takes_nothing_of_another() {
        let mut listing = Listing { number: 7, ..Listing::default() };
        let first = [message(16, 0, 6, b"past"), message(DONE, 0, 6, &[0; 4]), message(16, 0, 7, b"here")];
        assert!(!listing.take(&first.concat()).unwrap(), "the end of another list is not that of this one");
        assert!(!listing.interrupted);
        assert!(!listing.take(&message(16, DUMP_INTERRUPTED, 7, b"more")).unwrap(), "it goes on");
        assert!(listing.take(&message(DONE, 0, 7, &[0; 4])).unwrap());
        assert_eq!(listing.found, [b"here", b"more"]);
        assert!(listing.interrupted);
    }

    #[test]
    fn an_error_at_the_end_of_a_list_is_told() {
        let refused = Errno::EPERM as i32;
        for kind in [DONE, ERROR] {
            let mut listing = Listing { number: 7, ..Listing::default() };
            let error = listing.take(&message(kind, 0, 7, &(-refused).to_ne_bytes())).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(refused));
        }
    }
}
