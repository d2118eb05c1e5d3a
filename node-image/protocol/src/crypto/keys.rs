//! RSA keys: the login server's (Ks+, Ks-) and a client's (KA+, KA-).

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{Oaep, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Least size of a login server's modulus, in bits: a registration must fit into one block.
const LEAST_SERVER_BITS: usize = 1_536;
/// Largest modulus of any key, in bits.
const MOST_BITS: usize = 2_048;

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not hexadecimal.
    #[error("the key is not hexadecimal: give the PKCS #1 DER of the key as pairs of hexadecimal digits")]
    Hex,
    /// Not a key in PKCS #1 DER.
    #[error("the key is not an RSA key in PKCS #1 DER")]
    Der,
    /// Of a size that is not used.
    #[error("the key has {bits} bits; a login server's key has {LEAST_SERVER_BITS} to {MOST_BITS}")]
    Size {
        /// The size of its modulus.
        bits: usize,
    },
    /// The generator found none.
    #[error("no RSA key of {bits} bits could be generated")]
    Generate {
        /// The size that was asked for.
        bits: usize,
    },
}

/// A login server's public key, Ks+, with which clients encrypt to it and verify its certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerPublicKey {
    key: RsaPublicKey,
}

impl ServerPublicKey {
    /// Reads PKCS #1 DER in hexadecimal.
    ///
    /// # Errors
    ///
    /// If it is not one, or its size is not one that is used.
    pub fn from_der_hex(text: &str) -> Result<Self, KeyError> {
        let key = RsaPublicKey::from_pkcs1_der(&from_hex(text)?).map_err(|_| KeyError::Der)?;
        check_server_size(key.n().bits())?;
        Ok(Self { key })
    }

    /// As PKCS #1 DER in hexadecimal.
    #[must_use]
    pub fn to_der_hex(&self) -> String {
        to_hex(self.key.to_pkcs1_der().expect("a valid key has a DER form").as_bytes())
    }
}

impl fmt::Debug for ServerPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerPublicKey({} bits)", self.key.n().bits())
    }
}

/// A login server's key pair (Ks+, Ks-). The private part is erased when dropped and never shown.
#[derive(Clone)]
pub struct ServerKeyPair {
    key: RsaPrivateKey,
}

impl ServerKeyPair {
    /// Generates a pair; the same seed gives the same pair.
    ///
    /// # Errors
    ///
    /// If the size is not one that is used.
    pub fn generate(seed: u64, bits: usize) -> Result<Self, KeyError> {
        check_server_size(bits)?;
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let key = RsaPrivateKey::new(&mut random, bits).map_err(|_| KeyError::Generate { bits })?;
        Ok(Self { key })
    }

    /// Reads the private key as PKCS #1 DER in hexadecimal.
    ///
    /// # Errors
    ///
    /// If it is not one, or its size is not one that is used.
    pub fn from_der_hex(text: &str) -> Result<Self, KeyError> {
        let key = RsaPrivateKey::from_pkcs1_der(&from_hex(text)?).map_err(|_| KeyError::Der)?;
        check_server_size(key.n().bits())?;
        Ok(Self { key })
    }

    /// The private key as PKCS #1 DER in hexadecimal. Keep it to the login server's own configuration.
    #[must_use]
    pub fn to_der_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(to_hex(self.key.to_pkcs1_der().expect("a valid key has a DER form").as_bytes()))
    }

    /// Ks+.
    #[must_use]
    pub fn public(&self) -> ServerPublicKey {
        ServerPublicKey { key: self.key.to_public_key() }
    }
}

impl fmt::Debug for ServerKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeyPair({} bits, ..)", self.key.n().bits())
    }
}

fn check_server_size(bits: usize) -> Result<(), KeyError> {
    if (LEAST_SERVER_BITS..=MOST_BITS).contains(&bits) { Ok(()) } else { Err(KeyError::Size { bits }) }
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let digits = text.trim().as_bytes();
    if digits.len() % 2 != 0 {
        return Err(KeyError::Hex);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(KeyError::Hex);
    let bytes = digits
        .chunks_exact(2)
        .map(|pair| Ok(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).expect("two hexadecimal digits")))
        .collect::<Result<Vec<u8>, KeyError>>()?;
    Ok(Zeroizing::new(bytes))
}
