//! The keeper's socket: who may use it, requests and answers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;

use super::KeeperError;
use super::desk::Desk;
use crate::runtime::embedded::message::{Answer, LONGEST_REQUEST, Numbered, Request, SOCKET};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Requests of one connection that are under way at a time. Who has more waits.
const REQUESTS: usize = 256;
/// Until connections are taken again after that failed.
const PAUSE: Duration = Duration::from_millis(100);

fn path_in(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}

/// Makes the socket in the lab's directory. Only its owner can open it.
pub fn listen(directory: &Path) -> Result<UnixListener, KeeperError> {
    let path = path_in(directory);
    let fail = |source| KeeperError::Socket { path: path.clone(), source };
    match fs::remove_file(&path) {
        // Of a keeper that was killed.
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    // From its first moment on. There is no other thread yet that makes files.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(&path);
    umask(before);
    listener.map_err(fail)
}

/// Takes the socket away.
pub fn remove(directory: &Path) {
    // `down` removes the whole directory; if it has been quicker, all is well.
    let _ = fs::remove_file(path_in(directory));
}

/// Answers for as long as the keeper runs.
pub async fn serve(listener: UnixListener, desk: Rc<Desk>) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let turn = Arc::clone(&turns).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) if is_owner(&stream) => {
                let desk = Rc::clone(&desk);
                spawn_local(async move {
                    converse(stream, desk).await;
                    drop(turn);
                });
            }
            Ok(_) => tracing::warn!("another user was refused"),
            // Of one connection, or for lack of descriptors, which comes to an end.
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// True if the other end is a process of the lab's owner.
fn is_owner(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

async fn converse(stream: UnixStream, desk: Rc<Desk>) {
    let (from, to) = stream.into_split();
    let (answers, waiting) = mpsc::channel(REQUESTS);
    let writer = spawn_local(write(to, waiting));
    if let Err(error) = read(from, &desk, &answers).await {
        tracing::warn!(%error, "a connection was closed");
    }
    // Nobody is there any more to be told, or nobody who is understood.
    writer.abort();
}

/// Takes requests until the other end closes or says something that is none.
async fn read(
    from: OwnedReadHalf,
    desk: &Rc<Desk>,
    answers: &mpsc::Sender<Numbered<Answer>>,
) -> std::io::Result<()> {
    let turns = Arc::new(Semaphore::new(REQUESTS));
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut from).take(LONGEST_REQUEST as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return Err(std::io::Error::new(ErrorKind::InvalidData, "a request is too long or not whole"));
        }
        let Numbered { id, message } = serde_json::from_slice::<Numbered<Request>>(&line)?;
        let turn = Arc::clone(&turns).acquire_owned().await.expect("the semaphore is never closed");
        let (desk, answers) = (Rc::clone(desk), answers.clone());
        spawn_local(async move {
            let answer = tokio::select! {
                answer = desk.handle(message.clone()) => answer,
                // Nobody waits for it any more. What was begun goes on: only waiting is given up.
                () = answers.closed(), if message.only_waits() => return,
            };
            let _ = answers.send(Numbered { id, message: answer }).await;
            drop(turn);
        });
    }
}

/// Sends answers until the other end closes, or nobody has any more.
async fn write(mut to: OwnedWriteHalf, mut answers: mpsc::Receiver<Numbered<Answer>>) {
    while let Some(answer) = answers.recv().await {
        let mut line = serde_json::to_vec(&answer).expect("an answer is plain data with text keys");
        line.push(b'\n');
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}
