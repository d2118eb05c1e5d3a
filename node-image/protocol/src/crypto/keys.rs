//! RSA keys: the login server's (Ks+, Ks-) and a client's (KA+, KA-).

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Oaep, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::wire::{DecodeError, Reader, Wire};

/// Least size of a login server's modulus, in bits: a registration must fit into one block.
const LEAST_SERVER_BITS: usize = 1_536;
/// Least size of a client's modulus, in bits.
const LEAST_CLIENT_BITS: usize = 1_024;
/// Largest modulus of any key, in bits.
const MOST_BITS: usize = 2_048;

/// The public exponent of all keys.
const PUBLIC_EXPONENT: u32 = 65_537;

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
    /// The text does not fit into one block.
    #[error("{length} bytes do not fit into one RSA block")]
    Text {
        /// Length of the text.
        length: usize,
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
    ///
    /// # Panics
    ///
    /// Never: a valid key has a DER form.
    #[must_use]
    pub fn to_der_hex(&self) -> String {
        to_hex(self.key.to_pkcs1_der().expect("a valid key has a DER form").as_bytes())
    }

    /// Tells this key from other login servers'.
    ///
    /// # Panics
    ///
    /// Never: a valid key has a DER form.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let der = self.key.to_pkcs1_der().expect("a valid key has a DER form");
        let digest = Sha256::digest(der.as_bytes());
        KeyId([digest[0], digest[1], digest[2], digest[3]])
    }

    /// Ks+(text): RSA with OAEP and SHA-256 (RFC 8017, section 7.1), one block.
    ///
    /// # Errors
    ///
    /// If the text does not fit into one block.
    pub fn encrypt(&self, random: &mut (impl RngCore + CryptoRng), text: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key
            .encrypt(random, Oaep::new::<Sha256>(), text)
            .map_err(|_| KeyError::Text { length: text.len() })
    }

    /// Whether the key's owner signed `text`.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        self.key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text), signature).is_ok()
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
    ///
    /// # Panics
    ///
    /// Never: a valid key has a DER form.
    #[must_use]
    pub fn to_der_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(to_hex(self.key.to_pkcs1_der().expect("a valid key has a DER form").as_bytes()))
    }

    /// Ks+.
    #[must_use]
    pub fn public(&self) -> ServerPublicKey {
        ServerPublicKey { key: self.key.to_public_key() }
    }

    /// The text of a block that was encrypted with Ks+; `None` if it was not. Blinded.
    pub fn decrypt(
        &self,
        random: &mut (impl RngCore + CryptoRng),
        block: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.key.decrypt_blinded(random, Oaep::new::<Sha256>(), block).ok().map(Zeroizing::new)
    }

    /// Signs with Ks-: RSA with PKCS #1 v1.5 and SHA-256 (RFC 8017, section 8.2). Blinded.
    pub fn sign(&self, random: &mut (impl RngCore + CryptoRng), text: &[u8]) -> Vec<u8> {
        sign(&self.key, random, text)
    }
}

impl fmt::Debug for ServerKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeyPair({} bits, ..)", self.key.n().bits())
    }
}

/// Tells login servers' keys apart: the first 4 bytes of the SHA-256 of Ks+ in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl Wire for KeyId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(<[u8; 4]>::take(from)?))
    }
}

/// A client's public key, KA+. The exponent is always 65,537, so only the modulus is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientPublicKey {
    key: RsaPublicKey,
}

impl ClientPublicKey {
    /// Whether the key's owner signed `text`.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        self.key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text), signature).is_ok()
    }

    /// Encrypts so that only the key's owner can read it: RSA-OAEP with SHA-256, one block.
    ///
    /// # Errors
    ///
    /// If the text is longer than a block has room for: 62 bytes at 1,024 bits.
    pub fn encrypt(&self, random: &mut (impl RngCore + CryptoRng), text: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key
            .encrypt(random, Oaep::new::<Sha256>(), text)
            .map_err(|_| KeyError::Text { length: text.len() })
    }
}

impl fmt::Debug for ClientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientPublicKey({} bits)", self.key.n().bits())
    }
}

/// Two length bytes, then the modulus.
impl Wire for ClientPublicKey {
    fn put(&self, out: &mut Vec<u8>) {
        let modulus = self.key.n().to_bytes_be();
        u16::try_from(modulus.len()).expect("a modulus has at most 256 bytes").put(out);
        out.extend_from_slice(&modulus);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(u16::take(from)?);
        if length > MOST_BITS / 8 {
            return Err(DecodeError::TooLong { found: length, limit: MOST_BITS / 8 });
        }
        let modulus = BigUint::from_bytes_be(from.bytes(length)?);
        if modulus.bits() < LEAST_CLIENT_BITS || modulus.bits().div_ceil(8) != length {
            return Err(DecodeError::Value("a modulus of a size that is not used"));
        }
        RsaPublicKey::new_with_max_size(modulus, BigUint::from(PUBLIC_EXPONENT), MOST_BITS)
            .map(|key| Self { key })
            .map_err(|_| DecodeError::Value("a number that is no RSA modulus"))
    }
}

/// A client's key pair (KA+, KA-), fresh for every login. The private part is erased when dropped and never
/// shown.
pub struct ClientKeyPair {
    key: RsaPrivateKey,
}

impl ClientKeyPair {
    /// Generates a pair.
    ///
    /// # Errors
    ///
    /// If the size is not one that is used.
    pub fn generate(random: &mut (impl RngCore + CryptoRng), bits: usize) -> Result<Self, KeyError> {
        if !(LEAST_CLIENT_BITS..=MOST_BITS).contains(&bits) {
            return Err(KeyError::Generate { bits });
        }
        let key = RsaPrivateKey::new(random, bits).map_err(|_| KeyError::Generate { bits })?;
        Ok(Self { key })
    }

    /// KA+.
    #[must_use]
    pub fn public(&self) -> ClientPublicKey {
        ClientPublicKey { key: self.key.to_public_key() }
    }

    /// Signs with KA-: RSA with PKCS #1 v1.5 and SHA-256. Blinded.
    pub fn sign(&self, random: &mut (impl RngCore + CryptoRng), text: &[u8]) -> Vec<u8> {
        sign(&self.key, random, text)
    }

    /// Decrypts one block; `None` if it was not encrypted with this pair's public key.
    pub fn decrypt(
        &self,
        random: &mut (impl RngCore + CryptoRng),
        block: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.key.decrypt_blinded(random, Oaep::new::<Sha256>(), block).ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for ClientKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKeyPair({} bits, ..)", self.key.n().bits())
    }
}

fn sign(key: &RsaPrivateKey, random: &mut (impl RngCore + CryptoRng), text: &[u8]) -> Vec<u8> {
    key.sign_with_rng(random, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text))
        .expect("a block of 1,024 bits has room for the digest")
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
    if !digits.len().is_multiple_of(2) {
        return Err(KeyError::Hex);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(KeyError::Hex);
    let bytes = digits
        .chunks_exact(2)
        .map(|pair| Ok(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).expect("two hexadecimal digits")))
        .collect::<Result<Vec<u8>, KeyError>>()?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(3)
    }

    #[test]
    fn the_same_seed_gives_the_same_pair_and_it_survives_export() {
        let pair = ServerKeyPair::generate(1, 1_536).unwrap();
        let private = pair.to_der_hex();
        assert_eq!(*ServerKeyPair::generate(1, 1_536).unwrap().to_der_hex(), *private);
        let read = ServerKeyPair::from_der_hex(&private).unwrap();
        assert_eq!(read.public(), pair.public());
        assert_eq!(
            ServerPublicKey::from_der_hex(&pair.public().to_der_hex()).unwrap().id(),
            pair.public().id()
        );
    }

    #[test]
    fn only_the_private_key_reads_what_was_encrypted_and_signs_what_verifies() {
        let (pair, other) =
            (ServerKeyPair::generate(1, 1_536).unwrap(), ServerKeyPair::generate(2, 1_536).unwrap());
        let block = pair.public().encrypt(&mut random(), b"text").unwrap();
        assert_eq!(pair.decrypt(&mut random(), &block).unwrap().as_slice(), b"text");
        assert!(other.decrypt(&mut random(), &block).is_none());
        let signature = pair.sign(&mut random(), b"text");
        assert!(pair.public().verify(b"text", &signature));
        assert!(!pair.public().verify(b"test", &signature));
        assert!(!other.public().verify(b"text", &signature));
    }

    #[test]
    fn keys_of_other_sizes_and_texts_that_are_no_keys_are_refused() {
        assert_eq!(ServerKeyPair::generate(1, 1_024).unwrap_err(), KeyError::Size { bits: 1_024 });
        assert_eq!(ServerPublicKey::from_der_hex("0g").unwrap_err(), KeyError::Hex);
        assert_eq!(ServerPublicKey::from_der_hex("012").unwrap_err(), KeyError::Hex);
        assert_eq!(ServerPublicKey::from_der_hex("0123").unwrap_err(), KeyError::Der);
        let public = ServerKeyPair::generate(1, 1_536).unwrap().public();
        let long = public.encrypt(&mut random(), &[0; 200]);
        assert_eq!(long.unwrap_err(), KeyError::Text { length: 200 });
    }

    #[test]
    fn private_keys_are_not_shown() {
        let pair = ClientKeyPair::generate(&mut random(), 1_024).unwrap();
        assert_eq!(format!("{pair:?}"), "ClientKeyPair(1024 bits, ..)");
    }
}
