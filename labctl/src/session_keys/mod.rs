//! The keys of the sessions between clients and login servers in a run's captures, for the dissector in
//! `docs/wireshark/`, which decrypts with them.
//!
//! Nothing asks a node. A login server's key pair follows from the plan, which stands in the run's `run.json`; with
//! Ks- the block that brings K is read from the capture, as the login server itself read it. So whoever has a
//! run can do this, and nobody has a key of anything but a lab.

mod conversation;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use overlay_protocol::ServerKeyPair;
use overlay_protocol::crypto::seal::{Purpose, SessionKey};
use overlay_protocol::wire::login_server::{Registration, ToLoginServer};
use overlay_protocol::wire::{Reader, Wire as _};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde::Deserialize;

use crate::lab::{LabError, keys};
use crate::meter::pcapng_reader;
use crate::plan::Plan;

/// The file of a run that says what was measured.
const RUN_FILE: &str = "run.json";
const CAPTURES: &str = "pcapng";
/// Bytes of a block by which the dissector finds its keys.
const ID: usize = 16;

const HEAD: &str = "# Session keys of a lab, for docs/wireshark/overlay.lua; 'labctl keys' wrote them.
# Kind of request, first bytes of the block that brought the key, what the block holds, AES-256 keys of request and answer.
";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SessionKeysError {
    /// A file of the run cannot be read.
    #[error("{}: {source}\nmend: name the directory of a run: what stands behind 'records:' at the end of an experiment", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The run's lab had no login server.
    #[error("the lab of this run had no login server, so that nothing was sealed")]
    NoLoginServer,
    /// The plan's keys cannot be made.
    #[error(transparent)]
    Keys(#[from] LabError),
}

/// The keys that were found, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionKeys {
    /// The key file.
    pub text: String,
    /// Captures that were looked through.
    pub captures: usize,
    /// Requests to login servers whose keys are in the file.
    pub requests: usize,
}

/// What is read of `run.json`.
#[derive(Deserialize)]
struct RunFile {
    plan: Plan,
}

/// The keys of all sessions in the captures of a run.
///
/// # Errors
///
/// If the directory is not that of a run, or a capture in it cannot be read.
pub fn of_run(directory: &Path) -> Result<SessionKeys, SessionKeysError> {
    let path = directory.join(RUN_FILE);
    let run = std::fs::read(&path).map_err(failed(&path))?;
    let run: RunFile = serde_json::from_slice(&run).map_err(io::Error::from).map_err(failed(&path))?;
    let servers: Vec<_> =
        keys::login_servers(&run.plan)?.into_iter().map(|(address, _, pair)| (address, pair)).collect();
    if servers.is_empty() {
        return Err(SessionKeysError::NoLoginServer);
    }
    let mut found = SessionKeys { text: HEAD.to_owned(), ..SessionKeys::default() };
    for capture in captures(directory)? {
        let frames = pcapng_reader::frames(&capture).map_err(failed(&capture))?;
        found.captures += 1;
        for line in disclose(&frames, &servers) {
            found.requests += 1;
            found.text.push_str(&line);
            found.text.push('\n');
        }
    }
    Ok(found)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SessionKeysError + use<> {
    let path = path.to_owned();
    move |source| SessionKeysError::File { path, source }
}

/// The captures of a run, by name.
fn captures(directory: &Path) -> Result<Vec<PathBuf>, SessionKeysError> {
    let entries = directory.read_dir().map_err(failed(directory))?;
    let mut captures = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(directory))?.path();
        if path.extension().is_some_and(|extension| extension == CAPTURES) {
            captures.push(path);
        }
    }
    captures.sort();
    Ok(captures)
}

/// A line for each request to one of the servers.
fn disclose(frames: &[Vec<u8>], servers: &[(SocketAddrV4, ServerKeyPair)]) -> Vec<String> {
    // Blinding needs randomness, which changes no result; nobody outside sees how long it takes.
    let mut random = ChaCha20Rng::seed_from_u64(0);
    let mut lines = Vec::new();
    for (address, pair) in servers {
        for request in conversation::requests(frames, *address) {
            let block = match &request {
                ToLoginServer::Register { block } => block,
                ToLoginServer::Login { key, .. } => key,
            };
            // What a client made up, or a server with another key got, stays closed.
            let Some(text) = pair.decrypt(&mut random, block.as_slice()) else { continue };
            lines.extend(line(&request, block.as_slice(), &text));
        }
    }
    lines
}

fn line(request: &ToLoginServer, block: &[u8], text: &[u8]) -> Option<String> {
    let mut reader = Reader::new(text);
    let (kind, key) = match request {
        ToLoginServer::Register { .. } => ("REGISTER", Registration::take(&mut reader).ok()?.key),
        ToLoginServer::Login { .. } => ("LOGIN", SessionKey::take(&mut reader).ok()?),
    };
    let of_request = match request {
        // A registration is sealed by RSA alone.
        ToLoginServer::Register { .. } => "-".to_owned(),
        ToLoginServer::Login { .. } => hexadecimal(&*key.encryption_key(Purpose::Request)),
    };
    let of_answer = hexadecimal(&*key.encryption_key(Purpose::Answer));
    let id = hexadecimal(&block[..ID.min(block.len())]);
    Some(format!("{kind} {id} {} {of_request} {of_answer}", hexadecimal(text)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all that is written to it");
        text
    })
}
