//! Containers of programs that are not the overlay's: of the host, or of the user's images.
//!
//! The first process is the node program, which waits until the node's network is there and then becomes the
//! other program, or keeps it running: a restart by the engine would take the container's network away. For a program of the host the container is the node image with the host's directories
//! mounted read-only; for an image it is a layer on top of that, made once for each image.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HealthConfig, ImageInspect, Mount};
use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use overlay_control::DIRECTORY_IN_CONTAINER;

use super::super::{Image, NODE_PROGRAM, RuntimeError};
use super::image::{LABEL, append, program_in_image, read, tag};
use super::{failed, root, status};
use crate::plan::{HealthPlan, ProgramPlan};

/// Repository of the user's images with the node program in them.
const REPOSITORY: &str = "labctl/program";
/// Where programs of the host and what they need are; those that there are.
const HOST_DIRECTORIES: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];
/// What a program may write to, in memory. It belongs to the program's user, because a directory that the
/// image has already keeps its mode.
const WRITABLE: [(&str, &str); 2] =
    [("/tmp", "mode=1777,size=64m"), ("/run", "uid=65534,gid=65534,size=16m")];

/// The image of this name; an error if there is none.
pub async fn find(docker: &Docker, image: &str) -> Result<ImageInspect, RuntimeError> {
    docker.inspect_image(image).await.map_err(|error| match status(&error) {
        Some(404) => RuntimeError::ImageMissing { image: image.to_owned() },
        _ => failed("looking for image", image)(error),
    })
}

/// Makes the image with the node program in it, unless the engine has it.
pub async fn prepare(docker: &Docker, image: &str, program: &Path) -> Result<Image, RuntimeError> {
    let found = find(docker, image).await?;
    let missing = || RuntimeError::ImageMissing { image: image.to_owned() };
    let id = found.id.ok_or_else(missing)?;
    let config = found.config.unwrap_or_default();
    let (_, content) = read(program).await?;
    let reference = format!("{REPOSITORY}:{}", tag(&[id.as_bytes(), &content]));
    let mut made = Image {
        reference,
        made: false,
        entry_point: config.entrypoint.unwrap_or_default(),
        arguments: config.cmd.unwrap_or_default(),
    };
    match docker.inspect_image(&made.reference).await {
        Ok(_) => return Ok(made),
        Err(error) if status(&error) == Some(404) => {}
        Err(error) => return Err(failed("looking for image", &made.reference)(error)),
    }
    let options = BuildImageOptionsBuilder::new().t(&made.reference).rm(true).forcerm(true).build();
    let body = bollard::body_full(context(&id, &content));
    docker
        .build_image(options, None, Some(body))
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(failed("making image", &made.reference))?;
    made.made = true;
    Ok(made)
}

/// The build context: the image by its identifier, which nothing is pulled for, and the program.
fn context(id: &str, program: &[u8]) -> Bytes {
    let instructions =
        format!("FROM {id}\nCOPY {NODE_PROGRAM} {}\nLABEL {LABEL}=program\n", program_in_image());
    let mut tar = tar::Builder::new(Vec::with_capacity(program.len() + 8192));
    append(&mut tar, Path::new("Dockerfile"), tar::EntryType::Regular, instructions.as_bytes());
    append(&mut tar, Path::new(NODE_PROGRAM), tar::EntryType::Regular, program);
    tar.into_inner().expect("writing to memory does not fail").into()
}

/// Changes the container of an overlay node into that of a program.
pub fn body(
    mut body: ContainerCreateBody,
    image: &Image,
    program: &ProgramPlan,
) -> Result<ContainerCreateBody, RuntimeError> {
    let mut host = body.host_config.take().unwrap_or_default();
    // Only the gate is in it, and it is labctl's.
    for bind in host.binds.iter_mut().flatten() {
        bind.push_str(":ro");
    }
    let restart = program.restart.name();
    let mut command: Vec<String> =
        ["run", "--directory", DIRECTORY_IN_CONTAINER, "--restart", restart, "--"].map(str::to_owned).into();
    if let Some(name) = &program.image {
        let arguments = if program.command.is_empty() { &image.arguments } else { &program.command };
        if image.entry_point.is_empty() && arguments.is_empty() {
            return Err(RuntimeError::NothingToRun { image: name.clone() });
        }
        command.extend(image.entry_point.iter().chain(arguments).cloned());
        // The image says who runs there, and may write to its own file system.
        body.user = None;
        host.readonly_rootfs = Some(false);
    } else {
        command.extend(program.command.iter().cloned());
        body.working_dir = Some("/".to_owned());
        let of_root = match &program.root {
            Some(directory) => root::mounts(directory)?,
            None => of_host(),
        };
        host.mounts.get_or_insert_default().extend(of_root);
        host.tmpfs = Some(WRITABLE.map(|(path, options)| (path.to_owned(), options.to_owned())).into());
    }
    host.mounts.get_or_insert_default().extend(program.mounts.iter().map(mount));
    body.cmd = Some(command);
    body.healthcheck = program.health.as_ref().map(health);
    body.env = Some(program.environment.iter().map(|(name, value)| format!("{name}={value}")).collect());
    body.host_config = Some(host);
    Ok(body)
}

fn of_host() -> Vec<Mount> {
    let there = HOST_DIRECTORIES.iter().filter(|path| Path::new(path).is_dir());
    there.map(|path| root::read_only((*path).to_owned(), (*path).to_owned())).collect()
}

fn mount(mount: &crate::topology::Mount) -> Mount {
    let text = |path: &Path| path.display().to_string();
    Mount { read_only: Some(mount.read_only), ..root::read_only(text(&mount.source), text(&mount.target)) }
}

fn health(health: &HealthPlan) -> HealthConfig {
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).ok();
    let words = ["CMD".to_owned()].into_iter().chain(health.command.iter().cloned());
    HealthConfig {
        test: Some(words.collect()),
        interval: nanoseconds(health.interval),
        timeout: nanoseconds(health.timeout),
        retries: Some(health.retries.into()),
        start_period: nanoseconds(health.start_period),
        ..HealthConfig::default()
    }
}
