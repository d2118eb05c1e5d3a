//! What a container has written, in files of bounded size: the newest part of it, one to two megabytes.
//!
//! A log is a row of frames (a byte that says which output, four bytes with the length, little-endian, and the
//! text). A file is named for the place of its first byte in the whole log, so that a reader who has read up to
//! some place finds the rest whatever was thrown away in between.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::runtime::Output;

/// Bytes of a file at most; there are two of them at most.
const FILE: u64 = 1 << 20;
const FILES: usize = 2;
const HEADER: usize = 5;

/// Which output of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    const fn mark(self) -> u8 {
        match self {
            Self::Out => 1,
            Self::Err => 2,
        }
    }
}

/// The log of a container that is written.
#[derive(Debug)]
pub struct LogWriter {
    directory: PathBuf,
    /// Place of the first byte of each file that there is.
    files: Vec<u64>,
    written: u64,
}

impl LogWriter {
    /// A log that has no file yet: most programs write little, some nothing.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, files: Vec::new(), written: 0 }
    }

    /// Bytes written so far, those that were thrown away again among them.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Adds a piece of at most 64 KiB. If that fails, nothing of it is there.
    pub fn append(&mut self, stream: Stream, text: &[u8]) -> io::Result<()> {
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(HEADER + text.len());
        frame.push(stream.mark());
        frame.extend(length.to_le_bytes());
        frame.extend(text);
        let start = self.file_for(frame.len() as u64)?;
        let path = path_of(&self.directory, start);
        // Not kept open: a thousand nodes that have said a line are a thousand descriptors.
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if let Err(error) = file.write_all(&frame) {
            // A part of a frame would make all that comes after it unreadable.
            file.set_len(self.written - start)?;
            return Err(error);
        }
        self.written += frame.len() as u64;
        Ok(())
    }

    /// The file that so many bytes go to: the newest, or another one.
    fn file_for(&mut self, length: u64) -> io::Result<u64> {
        match self.files.last() {
            Some(&start) if self.written - start + length <= FILE => return Ok(start),
            Some(_) => {}
            None => DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?,
        }
        while self.files.len() >= FILES {
            fs::remove_file(path_of(&self.directory, self.files[0]))?;
            self.files.remove(0);
        }
        self.files.push(self.written);
        Ok(self.written)
    }
}

fn path_of(directory: &Path, start: u64) -> PathBuf {
    // Of one length, so that `ls` shows them in order.
    directory.join(format!("{start:020}"))
}

/// Reads what was written from `place` on. Answers with it, and with the place up to which it goes.
pub fn read(directory: &Path, place: u64) -> io::Result<(Vec<Output>, u64)> {
    let mut pieces = Vec::new();
    let mut place = place;
    for start in starts(directory)? {
        // Older than what is left of the log: go on where that begins.
        place = place.max(start);
        let mut file = match File::open(path_of(directory, start)) {
            Ok(file) => file,
            // Thrown away in the meantime.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(place - start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        place += frames(Bytes::from(bytes), &mut pieces)?;
    }
    Ok((pieces, place))
}

fn starts(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut starts: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    starts.sort_unstable();
    Ok(starts)
}

/// The whole frames in some bytes. Answers with how many bytes they take: one may just be written.
fn frames(mut bytes: Bytes, pieces: &mut Vec<Output>) -> io::Result<u64> {
    let whole = bytes.len();
    while bytes.len() >= HEADER {
        let length = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        if bytes.len() < HEADER + length {
            break;
        }
        let mark = bytes[0];
        let _ = bytes.split_to(HEADER);
        let text = bytes.split_to(length);
        pieces.push(match mark {
            1 => Output::Out(text),
            2 => Output::Err(text),
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "this is not a log of labctl's keeper")),
        });
    }
    Ok((whole - bytes.len()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: &[Output]) -> Vec<String> {
        let text = |piece: &Output| match piece {
            Output::Out(text) => format!("out {}", String::from_utf8_lossy(text)),
            Output::Err(text) => format!("err {}", String::from_utf8_lossy(text)),
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn what_was_written_is_read_from_any_place_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alice");
        assert_eq!(read(&path, 0).unwrap().1, 0, "nothing was written, and no file made");
        let mut log = LogWriter::new(path.clone());
        log.append(Stream::Out, b"one").unwrap();
        let after_one = log.written();
        log.append(Stream::Err, b"two").unwrap();
        let (pieces, place) = read(&path, 0).unwrap();
        assert_eq!(texts(&pieces), ["out one", "err two"]);
        assert_eq!(place, log.written());
        assert_eq!(texts(&read(&path, after_one).unwrap().0), ["err two"]);
        assert!(read(&path, place).unwrap().0.is_empty());
    }

    #[test]
    fn a_log_keeps_its_end_and_no_more_than_two_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(directory.path().to_owned());
        let piece = vec![b'x'; 60_000];
        for _ in 0..100 {
            log.append(Stream::Out, &piece).unwrap();
        }
        log.append(Stream::Out, b"the end").unwrap();
        let sizes: Vec<u64> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= FILE), "{sizes:?}");
        let (pieces, place) = read(directory.path(), 0).unwrap();
        assert_eq!(place, log.written());
        assert_eq!(texts(&pieces).last().unwrap(), "out the end");
        assert!(pieces.len() > 15, "a megabyte is kept at least");
    }

    #[test]
    fn a_frame_that_is_just_being_written_is_left_for_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(directory.path().to_owned());
        log.append(Stream::Out, b"whole").unwrap();
        let whole = log.written();
        let mut file = OpenOptions::new().append(true).open(path_of(directory.path(), 0)).unwrap();
        file.write_all(&[1, 9, 0, 0, 0, b'p']).unwrap();
        let (pieces, place) = read(directory.path(), 0).unwrap();
        assert_eq!((texts(&pieces), place), (vec!["out whole".to_owned()], whole));
    }
}
