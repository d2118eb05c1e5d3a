//! What is around a program: its file system, its restarts, and how to find out whether it works.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use overlay_control::DIRECTORY_IN_CONTAINER;
use overlay_control::restart::RestartPolicy;

use super::super::super::fields::{Fields, Item, Located, Word};
use super::super::super::program::{Mount, Template};
use super::command_words;

/// What can be left out of a health check.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
const MOST_RETRIES: u32 = 1000;
/// Checks that follow each other without a pause, or cannot end in time, say nothing.
const LEAST: Duration = Duration::from_millis(10);
/// What the container has of its own.
const OWN: [&str; 4] = ["/proc", "/dev", "/sys", DIRECTORY_IN_CONTAINER];

/// What is around a program of the file.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) root: Option<PathBuf>,
    pub(super) mounts: Vec<Mount>,
    pub(super) restart: RestartPolicy,
    pub(super) health: Option<RawHealth>,
}

/// A health check of the file, its placeholders not yet resolved.
#[derive(Debug)]
pub(crate) struct RawHealth {
    pub(crate) command: Vec<Located<Template>>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) start_period: Duration,
}

impl Word for RestartPolicy {
    const EXPECTED: &'static str = "no, on-failure or always";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| String::new())
    }
}

pub(super) fn read(fields: &mut Fields<'_>, has_image: bool) -> Surroundings {
    Surroundings {
        root: fields.take("root").and_then(|item| root(&item, has_image)),
        mounts: fields.take("mounts").map(|item| mounts(&item)).unwrap_or_default(),
        restart: fields.word("restart").map_or(RestartPolicy::No, |policy| policy.value),
        health: fields.take("health").and_then(|item| health(&item)),
    }
}

fn root(item: &Item<'_>, has_image: bool) -> Option<PathBuf> {
    let path = item.text("the absolute path of a directory")?.value;
    if has_image {
        item.report("an image has a root file system of its own", "keep either the image or the root");
        return None;
    }
    if !is_plain(path) {
        let message = format_args!("'{path}' is no plain absolute path");
        item.report(message, "write the directory's whole path, without '..'");
        return None;
    }
    Some(path.into())
}

fn mounts(item: &Item<'_>) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for item in item.list() {
        let Some(mount) = mount(&item) else { continue };
        if mounts.iter().any(|other| other.target == mount.target) {
            let message = format!("something is mounted at {} already", mount.target.display());
            item.report(message, "choose another target");
            continue;
        }
        mounts.push(mount);
    }
    mounts
}

/// `source:target`, with `:ro` behind it if it is not to be written to.
fn mount(item: &Item<'_>) -> Option<Mount> {
    const EXPECTED: &str = "source:target or source:target:ro, such as /srv/files:/data:ro";
    let text = item.text(EXPECTED)?.value;
    let wrong = |message: String, mend: &str| {
        item.report(message, mend);
        None
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] | [source, target, "rw"] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        [_, _, option] => {
            return wrong(format!("'{option}' is no option of a mount"), "write ro, rw or nothing there");
        }
        _ => return wrong(format!("'{text}' is no mount"), &format!("write {EXPECTED}")),
    };
    for (path, which) in [(source, "source"), (target, "target")] {
        if !is_plain(path) {
            let message = format!("the {which} '{path}' is no plain absolute path");
            return wrong(message, "write the whole path, without '..'");
        }
    }
    let (source, target) = (PathBuf::from(source), PathBuf::from(target));
    if target == Path::new("/") {
        return wrong("nothing can be mounted over the root".to_owned(), "use root: for that");
    }
    if let Some(own) = OWN.iter().find(|own| target.starts_with(own)) {
        return wrong(format!("{own} is the container's own"), "choose another target");
    }
    Some(Mount { source, target, read_only })
}

fn is_plain(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

fn health(item: &Item<'_>) -> Option<RawHealth> {
    let mut fields = item.fields(item.place())?;
    let mend = "add a command that ends with 0 while the program works: command: [nc, -z, localhost, \"80\"]";
    let command = fields.need("command", mend).and_then(|item| command_words(&item));
    let mut time = |key: &'static str, otherwise: Duration, least: Duration| {
        let Some(item) = fields.take(key) else { return otherwise };
        let Some(time) = item.word::<Duration>() else { return otherwise };
        if time.value < least {
            item.report("too short", format!("write at least {}ms", least.as_millis()));
        }
        time.value
    };
    let interval = time("interval", INTERVAL, LEAST);
    let timeout = time("timeout", TIMEOUT, LEAST);
    let start_period = time("start_period", Duration::ZERO, Duration::ZERO);
    let retries = fields.take("retries").and_then(|item| item.whole(&(1..=MOST_RETRIES)));
    let retries = retries.map_or(RETRIES, |count| count.value);
    fields.close();
    Some(RawHealth { command: command?, interval, timeout, retries, start_period })
}
