//! Connections between a client and a login server.

use super::{Bytes, DecodeError, Reader, Wire, messages};
use crate::certificate::Certificate;
use crate::crypto::keys::ClientPublicKey;
use crate::crypto::password::PasswordHash;
use crate::crypto::seal::SessionKey;
use crate::user::UserName;

/// Fresh for every connection to a login server; a request without it was recorded on another.
pub type Nonce = [u8; 16];

/// One RSA block of a login server's key: at most 2,048 bits.
pub type Block = Bytes<256>;

messages! {
    /// What a client sends to a login server.
    ToLoginServer {
        /// Registers a user (step 2): Ks+ of a [`Registration`].
        0x60 Register {
            /// The block.
            block: Block,
        }
        /// Logs a user in (steps 3 to 5).
        0x61 Login {
            /// Ks+(K).
            key: Block,
            /// K of a [`Credentials`].
            sealed: Bytes<512>,
        }
    }
}

messages! {
    /// What a login server sends to a client.
    FromLoginServer {
        /// The first message on a connection.
        0x80 Greeting {
            /// To be repeated in every request.
            nonce: Nonce,
        }
        /// The answer to a request: K of an [`Outcome`].
        0x81 Answer {
            /// The sealed outcome.
            sealed: Bytes<1_024>,
        }
    }
}

/// What a registration holds.
#[derive(Debug)]
pub struct Registration {
    /// The connection's nonce.
    pub nonce: Nonce,
    /// For the answer.
    pub key: SessionKey,
    /// The user to be.
    pub user: UserName,
    /// H(pwd).
    pub password: PasswordHash,
}

impl Wire for Registration {
    fn put(&self, out: &mut Vec<u8>) {
        self.nonce.put(out);
        self.key.put(out);
        self.user.put(out);
        self.password.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nonce: Nonce::take(from)?,
            key: SessionKey::take(from)?,
            user: UserName::take(from)?,
            password: PasswordHash::take(from)?,
        })
    }
}

/// What a login proves and asks to be certified.
#[derive(Debug)]
pub struct Credentials {
    /// The connection's nonce.
    pub nonce: Nonce,
    /// KA+.
    pub public_key: ClientPublicKey,
    /// The user.
    pub user: UserName,
    /// H(pwd).
    pub password: PasswordHash,
}

impl Wire for Credentials {
    fn put(&self, out: &mut Vec<u8>) {
        self.nonce.put(out);
        self.public_key.put(out);
        self.user.put(out);
        self.password.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nonce: Nonce::take(from)?,
            public_key: ClientPublicKey::take(from)?,
            user: UserName::take(from)?,
            password: PasswordHash::take(from)?,
        })
    }
}

/// What a login server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user is registered.
    Registered,
    /// The password is right; here is the certificate for the user and KA+.
    Certified(Certificate),
    /// The user name is taken.
    NameTaken,
    /// No such user.
    UnknownUser,
    /// The password is wrong.
    WrongPassword,
    /// The request does not repeat this connection's nonce.
    Replayed,
    /// The server holds as many users as it can.
    Full,
}

impl Wire for Outcome {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Registered => out.push(0),
            Self::Certified(certificate) => {
                out.push(1);
                certificate.put(out);
            }
            Self::NameTaken => out.push(2),
            Self::UnknownUser => out.push(3),
            Self::WrongPassword => out.push(4),
            Self::Replayed => out.push(5),
            Self::Full => out.push(6),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Registered),
            1 => Ok(Self::Certified(Certificate::take(from)?)),
            2 => Ok(Self::NameTaken),
            3 => Ok(Self::UnknownUser),
            4 => Ok(Self::WrongPassword),
            5 => Ok(Self::Replayed),
            6 => Ok(Self::Full),
            _ => Err(DecodeError::Value("an outcome that does not exist")),
        }
    }
}

/// A group of fields as bytes of its own, for sealing or encrypting.
pub fn to_bytes(fields: &impl Wire) -> zeroize::Zeroizing<Vec<u8>> {
    // Room for the largest, so that no copy of a secret is left behind by growing.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(1_024));
    fields.put(&mut bytes);
    bytes
}

/// Reads a group of fields that stands alone.
///
/// # Errors
///
/// If the bytes are not exactly one such group.
pub fn from_bytes<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let fields = T::take(&mut reader)?;
    reader.end()?;
    Ok(fields)
}
