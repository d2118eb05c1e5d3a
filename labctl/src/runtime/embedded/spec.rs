//! What a node's container is and may do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use overlay_control::DIRECTORY_IN_CONTAINER;

use super::container::{ContainerSpec, Limits, Root};
use crate::plan::ProgramPlan;
use crate::runtime::{Image, NODE_PROGRAM, NodeSpec, RuntimeError};

/// The container of a node; `image` names the node program's file.
pub fn of(image: &Image, node: &NodeSpec) -> Result<ContainerSpec, RuntimeError> {
    let program = match &node.program {
        None => return Ok(overlay(image, node)),
        Some(ProgramPlan { image: Some(image), .. }) => {
            return Err(RuntimeError::ImageNeedsDocker { image: image.clone() });
        }
        Some(program) => program,
    };
    Ok(ContainerSpec {
        root: program.root.clone().map_or(Root::Host, Root::Directory),
        command: program.command.clone(),
        environment: program.environment.clone(),
        mounts: program.mounts.clone(),
        ..overlay(image, node)
    })
}

/// That of an overlay node.
fn overlay(image: &Image, node: &NodeSpec) -> ContainerSpec {
    let program = PathBuf::from(&image.reference);
    // In the container it is called what it is called here, which the user may have chosen.
    let name = program.file_name().map_or(NODE_PROGRAM.into(), |name| name.to_string_lossy());
    ContainerSpec {
        hostname: node.node.to_string(),
        command: vec![format!("/{name}"), "--directory".to_owned(), DIRECTORY_IN_CONTAINER.to_owned()],
        root: Root::Program(program),
        environment: BTreeMap::new(),
        directory: node.directory.clone(),
        mounts: Vec::new(),
        limits: Limits { memory: node.memory, pids: node.pids },
        cgroup: None,
    }
}
