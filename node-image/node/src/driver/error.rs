//! What the operating system says of a connection -> what the protocol knows of it.

use std::io::{Error, ErrorKind};

use overlay_protocol::StreamError;

/// Why a connection could not be made.
///
/// What the peer did not cause (no free local port, a local firewall's refusal) counts as
/// [`StreamError::Unreachable`]: the peer was not reached.
#[must_use]
pub fn connecting(error: &Error) -> StreamError {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => StreamError::Refused,
        ErrorKind::TimedOut => StreamError::TimedOut,
        _ => StreamError::Unreachable,
    }
}

/// Why an established connection ended.
#[must_use]
pub fn established(error: &Error) -> StreamError {
    match error.kind() {
        ErrorKind::TimedOut => StreamError::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            StreamError::Unreachable
        }
        _ => StreamError::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_system_has_its_meaning_for_the_protocol() {
        // Numbers from Linux' errno.h.
        for (errno, while_connecting, later) in [
            (111, StreamError::Refused, StreamError::Reset), // ECONNREFUSED
            (104, StreamError::Refused, StreamError::Reset), // ECONNRESET
            (110, StreamError::TimedOut, StreamError::TimedOut), // ETIMEDOUT
            (113, StreamError::Unreachable, StreamError::Unreachable), // EHOSTUNREACH
            (101, StreamError::Unreachable, StreamError::Unreachable), // ENETUNREACH
            (99, StreamError::Unreachable, StreamError::Reset), // EADDRNOTAVAIL
            (1, StreamError::Unreachable, StreamError::Reset), // EPERM, of a local firewall
            (32, StreamError::Unreachable, StreamError::Reset), // EPIPE
        ] {
            let error = Error::from_raw_os_error(errno);
            assert_eq!(connecting(&error), while_connecting, "{error}");
            assert_eq!(established(&error), later, "{error}");
        }
    }
}
