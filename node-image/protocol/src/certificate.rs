//! Certificates: a login server's word that a user has a key (step 5 of the security scheme).

use rand_chacha::ChaCha20Rng;
use thiserror::Error;

use crate::crypto::keys::{ClientPublicKey, KeyId, ServerKeyPair, ServerPublicKey};
use crate::user::UserName;
use crate::wire::{Bytes, DecodeError, Reader, Wire};

/// An RSA signature: as long as the modulus, which has at most 2,048 bits.
pub type Signature = Bytes<256>;

/// For the pair (user name, KA+), signed with Ks-. Spread to super nodes, and returned to whoever searches
/// for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The user.
    pub user: UserName,
    /// KA+.
    pub public_key: ClientPublicKey,
    /// When it was issued, in milliseconds of the login server's own clock: the newer of two counts.
    pub issued: u64,
    /// Which login server's key signed it.
    pub issuer: KeyId,
    signature: Signature,
}

/// Why a certificate does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// None of the known login servers' keys is the issuer's.
    #[error("the certificate's issuer is not a known login server")]
    UnknownIssuer,
    /// The issuer did not sign this.
    #[error("the certificate's signature is not the issuer's")]
    Signature,
    /// It is for another user or key.
    #[error("the certificate is for another user or key")]
    Subject,
}

impl Certificate {
    /// Certifies that `user` has `public_key`.
    ///
    /// # Panics
    ///
    /// Never: a signature is as long as the modulus, which has at most 2,048 bits.
    pub fn issue(
        keys: &ServerKeyPair,
        random: &mut ChaCha20Rng,
        user: UserName,
        public_key: ClientPublicKey,
        issued: u64,
    ) -> Self {
        let signer = keys.public().id();
        let signature = keys.sign(random, &signed_bytes(&user, &public_key, issued, signer));
        let signature = Signature::new(signature).expect("a signature is as long as the modulus");
        Self { user, public_key, issued, issuer: signer, signature }
    }

    /// Verifies the signature against the known login servers' keys.
    ///
    /// # Errors
    ///
    /// If the issuer is unknown, or did not sign this.
    pub fn verify<'k>(
        &self,
        known: impl IntoIterator<Item = &'k ServerPublicKey>,
    ) -> Result<(), CertificateError> {
        let issuer =
            known.into_iter().find(|key| key.id() == self.issuer).ok_or(CertificateError::UnknownIssuer)?;
        let text = signed_bytes(&self.user, &self.public_key, self.issued, self.issuer);
        if issuer.verify(&text, self.signature.as_slice()) {
            Ok(())
        } else {
            Err(CertificateError::Signature)
        }
    }

    /// Verifies that the certificate is for this user and key, and signed by `server`.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn verify_own(
        &self,
        server: &ServerPublicKey,
        user: &UserName,
        public_key: &ClientPublicKey,
    ) -> Result<(), CertificateError> {
        if self.user != *user || self.public_key != *public_key {
            return Err(CertificateError::Subject);
        }
        self.verify([server])
    }
}

fn signed_bytes(user: &UserName, public_key: &ClientPublicKey, issued: u64, signer: KeyId) -> Vec<u8> {
    let mut bytes = b"certificate".to_vec();
    user.put(&mut bytes);
    public_key.put(&mut bytes);
    issued.put(&mut bytes);
    signer.put(&mut bytes);
    bytes
}

impl Wire for Certificate {
    fn put(&self, out: &mut Vec<u8>) {
        self.user.put(out);
        self.public_key.put(out);
        self.issued.put(out);
        self.issuer.put(out);
        self.signature.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            user: UserName::take(from)?,
            public_key: ClientPublicKey::take(from)?,
            issued: u64::take(from)?,
            issuer: KeyId::take(from)?,
            signature: Signature::take(from)?,
        })
    }
}
