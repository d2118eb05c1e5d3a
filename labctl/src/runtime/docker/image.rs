//! The node image: the static program in an otherwise empty file system, named for the program's hash.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use overlay_control::DIRECTORY_IN_CONTAINER;
use sha2::{Digest, Sha256};

use super::super::{Image, NODE_PROGRAM, NODE_USER, RuntimeError};
use super::{failed, status};

/// Repository of node images; the tag is the start of the program's SHA-256.
pub const REPOSITORY: &str = "labctl/node";
/// Label of node images, by which also those are found whose tag another one took.
pub(super) const LABEL: &str = "labctl.image";
const TAG_BYTES: usize = 6;

/// Path of the program in the image.
pub fn program_in_image() -> String {
    format!("/{NODE_PROGRAM}")
}

/// Makes the image of `program` unless the engine has it.
pub async fn prepare(docker: &Docker, program: &Path) -> Result<Image, RuntimeError> {
    let (tag, content) = read(program).await?;
    let reference = format!("{REPOSITORY}:{tag}");
    match docker.inspect_image(&reference).await {
        Ok(_) => return Ok(Image { reference, ..Image::default() }),
        Err(error) if status(&error) == Some(404) => {}
        Err(error) => return Err(failed("looking for image", &reference)(error)),
    }
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(REPOSITORY)
        .tag(&tag)
        .message("labctl's overlay node")
        .changes(vec![
            format!("ENTRYPOINT [\"{}\"]", program_in_image()),
            format!("USER {NODE_USER}:{NODE_USER}"),
            format!("LABEL {LABEL}=node"),
        ])
        .build();
    let body = bollard::body_full(file_system(&content));
    docker
        .create_image(Some(options), Some(body), None)
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(failed("making image", &reference))?;
    Ok(Image { reference, made: true, ..Image::default() })
}

/// A program's tag and content.
pub(super) async fn read(program: &Path) -> Result<(String, Vec<u8>), RuntimeError> {
    let path = program.to_owned();
    let read = move || {
        let content =
            std::fs::read(&path).map_err(|source| RuntimeError::ProgramUnreadable { path, source })?;
        Ok((tag(&[&content]), content))
    };
    tokio::task::spawn_blocking(read)
        .await
        .expect("reading and hashing a file does not panic, and nobody aborts it")
}

/// The tag of an image that is made from these: the start of their SHA-256.
pub(super) fn tag(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    hash[..TAG_BYTES].iter().fold(String::new(), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    })
}

/// The image's file system as a tar: the program and the place where a node's directory is mounted (the
/// file system is read-only, so it must be there).
fn file_system(program: &[u8]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::with_capacity(program.len() + 8192));
    let mut path = PathBuf::new();
    for part in Path::new(DIRECTORY_IN_CONTAINER.trim_start_matches('/')) {
        path.push(part);
        append(&mut tar, &path, tar::EntryType::Directory, &[]);
    }
    append(&mut tar, Path::new(NODE_PROGRAM), tar::EntryType::Regular, program);
    tar.into_inner().expect("writing to memory does not fail").into()
}

pub(super) fn append(tar: &mut tar::Builder<Vec<u8>>, path: &Path, kind: tar::EntryType, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    tar.append_data(&mut header, path, content).expect("writing to memory does not fail");
}

/// Removes all node images that no container uses.
pub async fn clean(docker: &Docker) -> Result<usize, RuntimeError> {
    let filters = [("label".to_owned(), vec![LABEL.to_owned()])].into();
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = docker.list_images(Some(options)).await.map_err(failed("listing images of", REPOSITORY))?;
    let mut removed = 0;
    for image in images {
        let options = RemoveImageOptionsBuilder::new().build();
        match docker.remove_image(&image.id, Some(options), None).await {
            Ok(_) => removed += 1,
            // Used by a container (409), or removed by somebody else in the meantime (404).
            Err(error) if matches!(status(&error), Some(404 | 409)) => {}
            Err(error) => return Err(failed("removing image", &image.id)(error)),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_file_system_holds_the_program_and_the_mount_point_and_nothing_else() {
        let bytes = file_system(b"program");
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let path = entry.path().unwrap().display().to_string();
            entries.push((path, entry.header().entry_type().is_dir(), content));
        }
        assert_eq!(
            entries,
            [
                ("run".to_owned(), true, String::new()),
                ("run/overlay".to_owned(), true, String::new()),
                ("overlay-node".to_owned(), false, "program".to_owned()),
            ]
        );
    }
}
