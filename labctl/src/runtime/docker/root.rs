//! A directory of the host as the root file system of a container: all that is at its top is mounted, because
//! the engine takes nothing but images as a root.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use bollard::models::{Mount, MountType};

use super::super::RuntimeError;

/// What every container has of its own.
const OWN: [&str; 5] = ["proc", "dev", "sys", "tmp", "run"];
/// As many symbolic links as the kernel follows.
const MOST_LINKS: usize = 40;

/// The mounts that make a container of this directory, read-only. A symbolic link leads to where it would lead
/// if the directory were the root; one that leads nowhere is left out.
pub fn mounts(directory: &Path) -> Result<Vec<Mount>, RuntimeError> {
    let fail = |source| RuntimeError::Root { directory: directory.to_owned(), source };
    let mut mounts = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let Ok(name) = entry.map_err(fail)?.file_name().into_string() else { continue };
        let source = resolve(directory, Path::new(&name)).map_err(fail)?;
        if !OWN.contains(&name.as_str()) && (source.is_dir() || source.is_file()) {
            mounts.push(read_only(source.display().to_string(), format!("/{name}")));
        }
    }
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(mounts)
}

/// A mount that is not to be written to.
pub fn read_only(source: String, target: String) -> Mount {
    Mount {
        source: Some(source),
        target: Some(target),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    }
}

/// Where a path leads if `root` is the root, as a path of the host. No link leads out of it.
fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut links = 0;
    let mut found = PathBuf::new();
    let mut left: Vec<PathBuf> = reversed(path);
    while let Some(part) = left.pop() {
        match part.components().next() {
            Some(Component::Normal(name)) => {
                let next = found.join(name);
                match fs::read_link(root.join(&next)) {
                    Ok(target) => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(io::Error::from(nix::errno::Errno::ELOOP));
                        }
                        left.extend(reversed(&target));
                    }
                    // No link, or not there at all.
                    Err(_) => found = next,
                }
            }
            Some(Component::ParentDir) => {
                found.pop();
            }
            Some(Component::RootDir | Component::Prefix(_)) => found = PathBuf::new(),
            Some(Component::CurDir) | None => {}
        }
    }
    Ok(root.join(found))
}

fn reversed(path: &Path) -> Vec<PathBuf> {
    path.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_at_the_top_is_mounted_and_links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir_all(path.join("usr/bin")).unwrap();
        fs::create_dir(path.join("proc")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        for (target, link) in [
            ("usr/bin", "bin"),
            ("/usr/bin", "sbin"),
            ("../../../usr", "up"),
            ("/nowhere", "dangling"),
            ("bin/../bin", "round"),
        ] {
            symlink(target, path.join(link)).unwrap();
        }
        let made = mounts(path).unwrap();
        let pairs: Vec<_> = made
            .iter()
            .map(|mount| {
                let source = mount.source.as_deref().unwrap();
                let below = Path::new(source).strip_prefix(path).unwrap().display().to_string();
                (mount.target.clone().unwrap(), below)
            })
            .collect();
        let pair = |target: &str, below: &str| (target.to_owned(), below.to_owned());
        assert_eq!(
            pairs,
            [
                pair("/bin", "usr/bin"),
                pair("/file", "file"),
                // `bin` leads to `usr/bin`, and `..` from there to `usr`.
                pair("/round", "usr/bin"),
                pair("/sbin", "usr/bin"),
                pair("/up", "usr"),
                pair("/usr", "usr"),
            ]
        );
    }

    #[test]
    fn a_link_that_leads_to_itself_and_a_directory_that_is_none_are_errors() {
        let root = tempfile::tempdir().unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        assert!(mounts(root.path()).is_err());
        let error = mounts(Path::new("/no/such/root")).unwrap_err().to_string();
        assert!(error.contains("/no/such/root"), "{error}");
    }
}
